"""card.json, card.md, card.html and the samples, written together."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from t2t.card.gather import Say, gather
from t2t.card.page import markdown, page
from t2t.card.samples import samples
from t2t.decode.chat import Chat
from t2t.run.folder import open_run, write_text


def write_card(
    run: str | Path,
    folder: str | Path,
    *,
    before: str | Path | None = None,
    data_dir: str | Path | None = None,
    questions: int = 200,
    say: Say = print,
) -> Path:
    """Measures a run and writes its card to `folder`; returns the page's path.

    Raises:
      As `gather`.
    """
    opened, _ = open_run(run)
    data = Path(data_dir or opened.data_dir or ".")
    chat = Chat.from_run(run)
    card = gather(chat, run, before=before, data_dir=data, questions=questions, say=say)
    shown = samples(chat, data)
    target = Path(folder)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    (temporary / "samples").mkdir(parents=True)
    for messages in shown:
        for _, parts in messages:
            for part in parts:
                if part.data:
                    (temporary / "samples" / part.name).write_bytes(part.data)
    write_text(
        temporary / "card.json", json.dumps(card, indent=1, ensure_ascii=False) + "\n"
    )
    write_text(temporary / "card.md", markdown(card))
    write_text(temporary / "card.html", page(card, shown))
    if target.is_dir():
        shutil.rmtree(target)
    temporary.replace(target)
    return target / "card.html"
