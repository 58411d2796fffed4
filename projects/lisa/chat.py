"""Talk with a LISA about pictures in a terminal.

    python projects/lisa/chat.py --version=LISA_FOLDER --precision=bf16
    python projects/lisa/chat.py --version=LISA_FOLDER --load_in_4bit    (or --load_in_8bit)

It asks for a prompt and a picture; the prompt may be in any language. An empty picture goes on about the last one, with
all that was said; a new one starts anew. ``quit``, or the end of the input, ends it. Every mask of an answer is written
to ``--vis_save_path``: ``NAME_01_mask_1.png`` (white on black, of the picture's size) and ``NAME_01_masked.png`` for
the first answer about NAME, and so on. Exit code 2 and one sentence when something has to be put right.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "projects"))

from lisa.flags import add_model, switch  # noqa: E402
from lisa.loading import add_quantisation, open_session  # noqa: E402
from word2mask.errors import UserError  # noqa: E402

END = ("quit", "exit")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Talk with a LISA about pictures.")
    add_model(parser, "xinlai/LISA-13B-llama2-v1")
    add_quantisation(parser)
    parser.add_argument("--vis_save_path", type=Path, default=Path("./vis_output"), help="where masks are written")
    parser.add_argument("--max_new_tokens", type=int, default=512, help="longest answer")
    parser.add_argument("--lora_r", type=int, default=8, help="accepted as LISA's; a folder has no adapters")
    switch(parser, "use_mm_start_end", True, "accepted as LISA's; the folder says whether it has marks")
    return parser.parse_args(arguments)


class Conversation:
    """What was said about one picture, and its answers on disk.

    Args:
        session: that answers.
        folder: where masks are written.
        max_new_tokens: longest answer.
    """

    def __init__(self, session: Any, folder: Path, max_new_tokens: int) -> None:
        self._session, self._folder, self._limit = session, folder, max_new_tokens
        self._media: Any = None
        self._turns: list[Any] = []
        self._counts: dict[str, int] = {}

    def ask(self, text: str, picture: str) -> list[str]:
        """What there is to tell about an answer, line by line.

        Raises:
            UserError: no such picture, none yet, or a question that can't be asked.
        """
        import numpy as np

        from word2mask.data.media import open_image
        from word2mask.inference.render import overlay, save_picture
        from word2mask.types import Request, Turn

        if picture:
            media, turns = open_image(Path(picture).expanduser()), []
        elif self._media is None:
            raise UserError("there is no picture yet; give the path of one")
        else:
            media, turns = self._media, self._turns
        turns = [*turns, Turn("user", text)]
        result = self._session.ask(Request(tuple(turns), media, max_new_tokens=self._limit))
        self._media, self._turns = media, [*turns, Turn("assistant", result.raw_text)]
        lines = [result.text] if result.text else []
        if not result.segments:
            return [*lines, "(no mask in this answer)"]
        name = Path(media.name).stem
        self._counts[name] = self._counts.get(name, 0) + 1
        start = self._folder / f"{name}_{self._counts[name]:02}"
        self._folder.mkdir(parents=True, exist_ok=True)
        masks = np.stack([segment.masks[0] for segment in result.segments])
        for number, mask in enumerate(masks, start=1):
            save_picture(mask, f"{start}_mask_{number}.png")
            lines.append(f"{start}_mask_{number}.png has been saved ({int(mask.sum())} pixels).")
        save_picture(overlay(media.frames[0], masks, min_side=1), f"{start}_masked.png")
        return [*lines, f"{start}_masked.png has been saved."]


def talk(conversation: Conversation) -> None:
    """Ask and answer until the input ends."""
    while True:
        try:
            text = input("Please input your prompt: ").strip()
            if text.lower() in END:
                return
            picture = input("Please input the image path (empty: the same): ").strip()
        except EOFError:
            sys.stdout.write("\n")
            return
        try:
            sys.stdout.write("\n".join(conversation.ask(text, picture)) + "\n")
        except UserError as error:
            sys.stdout.write(f"{error}\n")


def main() -> int:
    """Run, and turn errors that the user can put right into one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = parse_arguments()
    try:
        talk(Conversation(open_session(arguments), arguments.vis_save_path, arguments.max_new_tokens))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
