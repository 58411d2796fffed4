"""``tools/slurm.sh`` with programs in place of SLURM's that say how they were called."""

import subprocess

import pytest

FAKES = {
    "sbatch": 'printf "%s\\n" "$WORD2MASK_SLURM_ROOT" "$@"',
    "srun": 'printf "%s\\n" "$NNODES" "$MASTER_ADDR" "$MASTER_PORT" "$@"',
    "scontrol": "printf 'node7\\nnode9\\n'",
}


@pytest.fixture
def slurm(tmp_path, repository):
    """Runs the script; arguments, environment → the finished process."""
    for name, body in FAKES.items():
        path = tmp_path / name
        path.write_text(f"#!/usr/bin/env bash\n{body}\n")
        path.chmod(0o755)

    def run(*arguments, path=f"{tmp_path}:/usr/bin:/bin", **environment):
        return subprocess.run(
            ["/bin/bash", str(repository / "tools" / "slurm.sh"), *arguments],
            env={"PATH": path, **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_submits_what_options_say(slurm, repository):
    done = slurm("-N", "2", "-G", "4", "-p", "a100", "-t", "1:00:00", "train", "configs/some.py", "--resume", "auto")
    root = str(repository)
    assert done.stdout.splitlines() == [
        root,
        *("--nodes", "2", "--ntasks-per-node", "1", "--gres", "gpu:4", "--job-name", "some"),
        *("--partition", "a100", "--time", "1:00:00", "--signal", "TERM@300", "--export", "ALL"),
        *(f"{root}/tools/slurm.sh", "train", "configs/some.py", "4", "--resume", "auto"),
    ]


def test_environment_says_the_same(slurm):
    variables = {"NODES": "3", "GPUS_PER_NODE": "2", "JOB_NAME": "mine", "SBATCH_OPTIONS": "--requeue --mem 0"}
    done = slurm("test", "some.py", **variables)
    words = " ".join(done.stdout.splitlines()[1:])
    assert words.startswith("--nodes 3 --ntasks-per-node 1 --gres gpu:2 --job-name mine --signal")
    assert "--requeue --mem 0 " in words and words.endswith("slurm.sh test some.py 2")


def test_starts_one_task_a_machine(slurm, repository):
    """In the job, as sbatch runs it: a rendezvous on the first machine, and each task's own number."""
    job = {"SLURM_JOB_ID": "41", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[7,9]"}
    done = slurm("train", "some.py", "8", "--strategy", "zero2", WORD2MASK_SLURM_ROOT=str(repository), **job)
    found = done.stdout.splitlines()
    assert found[:3] == ["2", "node7", "20041"]
    assert found[3:7] == ["--nodes", "2", "--ntasks-per-node", "1"]
    assert found[-6:] == [f"{repository}/tools/dist.sh", "train", "some.py", "8", "--strategy", "zero2"]
    assert "NODE_RANK=$SLURM_NODEID exec" in found[-7]


def test_every_task_gets_its_number(slurm, tmp_path, repository):
    """srun runs the command as on machine 1; python in place of torchrun shows what arrives there."""
    (tmp_path / "srun").write_text('#!/usr/bin/env bash\nshift 5\nSLURM_NODEID=1 exec "$@"\n')
    (tmp_path / "python").write_text('#!/usr/bin/env bash\necho "$@"\n')
    (tmp_path / "python").chmod(0o755)
    job = {"SLURM_JOB_ID": "41", "SLURM_JOB_NUM_NODES": "2", "SLURM_JOB_NODELIST": "node[7,9]"}
    done = slurm("train", "some.py", "8", WORD2MASK_SLURM_ROOT=str(repository), **job)
    assert "--nnodes 2 --node-rank 1 --master-addr node7 --master-port 20041 --nproc-per-node 8" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "expected train CONFIG or test CONFIG, got ''"),
        (("--queue", "x", "train", "c.py"), "unknown option --queue"),
        (("-N",), "-N needs a value"),
        (("-N", "two", "train", "c.py"), "--nodes is 'two', expected a number from 1 up"),
    ],
)
def test_wrong_input_is_one_sentence(slurm, arguments, message):
    done = slurm(*arguments)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1


def test_help_and_no_cluster(slurm):
    assert "--gpus-per-node N" in slurm("--help").stdout
    done = slurm("train", "c.py", path="/usr/bin:/bin")
    assert done.returncode == 2 and "there is no sbatch here" in done.stderr
