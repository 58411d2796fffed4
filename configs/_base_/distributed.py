"""How several processes share a run. Published: ZeRO-2, exchanges overlapped with the backward pass (arXiv:2501.04001).

``strategy`` is ``"ddp"``, ``"zero1"``, ``"zero2"``, ``"zero2_offload"``, ``"zero3"``, ``"zero3_offload"`` or
``"fsdp"``; ``--strategy`` of the commands replaces it. ``zero…`` need DeepSpeed: ``pip install -e ".[train]"``. The
published buckets of 5.37e9 values hold everything in one message; here no bucket is larger than what trains, so 5e8
does nearly the same in far less memory.
"""

strategy = "ddp"
sharding = dict(overlap_comm=True, bucket_size=500_000_000, prefetch_size=50_000_000, persistent_size=100_000)
