"""Omni's cached step, and answers: in any company, of any modality, by their seed."""

from __future__ import annotations

import dataclasses
from typing import Any

import kit
import numpy as np
import pytest
import toy_omni

from t2t.decode.chat import LENGTHS, Chat, Group
from t2t.decode.decoder import DecodeError
from t2t.decode.engine import ChatOptions, Engine
from t2t.decode.grammar import Limits
from t2t.features import EOS
from t2t.media.layout import Layout
from t2t.media.messages import Coded, Message, Text

HEADS = pytest.mark.parametrize("head", ["delay", "parallel", "depth"])
OPTIONS = ChatOptions(
    temperature=1.0, audio_temperature=1.0, limits=Limits(pieces=5, frames=7)
)


@HEADS
def test_slot_by_slot_is_as_a_whole(head: str) -> None:
    problem = toy_omni.toy_problem(head)
    model = toy_omni.toy_model(problem, head)
    count = 14
    batch = kit.batch(problem.offered(), rows=2, length=count)
    batch["targets_segments"][:] = 1
    logits, inner = model(batch)
    caches, present, found = model.empty_caches(2, count), np.ones((2, count), bool), []
    for start, end in ((0, 6), *((t, t + 1) for t in range(6, count))):
        part = slice(start, end)
        hidden, caches = model.advance(
            batch["targets"][:, part], batch["audio"][:, part],
            batch["places"][:, part], caches, slot=start, present=present,
        )  # fmt: skip
        found.append(kit.array(hidden))
    whole = np.concatenate(found, axis=1)
    for t in range(count):
        written = model.write(whole[:, t])
        np.testing.assert_allclose(written, logits[:, t], atol=1e-4)
    # What is likeliest, book after book, is what is spoken at temperature 0.
    still = np.zeros(2, np.float32)
    codes = model.speak(
        whole[:, 5], temperature=still, seed=np.arange(2, dtype=np.int32)
    )
    if head != "depth":
        best = kit.array(inner["audio_logits"])[:, 5].argmax(axis=-1)
        np.testing.assert_array_equal(codes, best)
    else:
        assert model.depth is not None
        again = model.depth(whole[:, 5], kit.array(codes))
        np.testing.assert_array_equal(codes, kit.array(again).argmax(axis=-1))


@pytest.mark.parametrize(
    ("head", "guidance"),
    [("delay", 1.0), ("delay", 3.0), ("parallel", 1.0), ("depth", 1.0)],
)
def test_an_answer_does_not_depend_on_those_beside_it(
    head: str, guidance: float
) -> None:
    options = dataclasses.replace(OPTIONS, picture_guidance=guidance)
    problem = toy_omni.toy_problem(head)
    chat = Chat(problem, toy_omni.toy_model(problem, head))
    wants = [("text",), ("text", "audio"), ("image",), ("text", "audio", "image")]
    asked = toy_omni.asked(4)
    open_answers = [Message("assistant", (), wants=w) for w in wants]
    together = chat.answers(asked, open_answers, options)
    for i, parts in enumerate(together):
        kinds = [getattr(p, "kind", "text") for p in parts]
        expected = [{"audio": "sound", "image": "picture"}.get(w, w) for w in wants[i]]
        assert [k for k in kinds if k != "text"] == [k for k in expected if k != "text"]
    again = chat.answers(asked, open_answers, options)
    assert _plain(again) == _plain(together)
    # The first has the number 0 alone as well, and so the same random numbers.
    alone = chat.answers(asked[:1], open_answers[:1], options)
    assert _plain(alone) == _plain(together[:1])
    other = ChatOptions(**{**vars(options), "seed": 1})
    assert _plain(chat.answers(asked, open_answers, other)) != _plain(together)


def test_a_picture_is_pushed_away_from_what_no_request_asks_for() -> None:
    """Drawn without chance: each code the likeliest of blind + g (asked - blind)."""
    problem = toy_omni.toy_problem("delay")
    model, layout = toy_omni.toy_model(problem, "delay"), problem.layout
    asked, guidance = (Message("user", (Text("draw nine"),)),), 4.0
    answer = Message("assistant", (), wants=("image",))
    options = dataclasses.replace(
        OPTIONS, picture_temperature=0.0, picture_guidance=guidance
    )
    ((picture,),) = Chat(problem, model).answers([asked], [answer], options)
    assert isinstance(picture, Coded)
    said, logits = dataclasses.replace(answer, parts=(picture,)), []
    for messages in (asked, (Message("user", ()),)):
        slots = layout.example([*messages, said])
        batch = {name: value[None] for name, value in slots.items()}
        batch["targets_segments"] = np.ones_like(batch["targets"])
        first = slots["targets"].tolist().index(layout.vocabulary.mark("<picture>"))
        count, begin = picture.codes.size, layout.vocabulary.first_picture
        whole = np.asarray(model(batch)[0])[0]
        logits.append(whole[first : first + count, begin:])
    guided = logits[1] + guidance * (logits[0] - logits[1])
    assert guided.argmax(-1).tolist() == picture.codes.ravel().tolist()
    assert guided.argmax(-1).tolist() != logits[0].argmax(-1).tolist()


def _wordless(ids: list[int], layout: Layout) -> list[int]:
    """Of speech and pictures, with no words said again: a sound does not keep them."""
    audio = layout.vocabulary.mark("<audio>")
    return [audio if EOS < i < layout.vocabulary.pieces else i for i in ids]


@HEADS
def test_what_is_written_stands_where_it_would_be_learned(head: str) -> None:
    """Ids and places of an answer as it grows are those of its parts laid out."""
    problem = toy_omni.toy_problem(head)
    engine = Engine(problem, toy_omni.toy_model(problem, head))
    wants = ("text", "audio", "image")
    asked, layout = toy_omni.asked(3), problem.layout
    answer = Message("assistant", (), wants=wants)
    prompts = [layout.prompt(messages, answer) for messages in asked]
    group = Group(engine, prompts, [answer] * 3, OPTIONS, numbers=[0, 1, 2])
    group.finish()
    for messages, prompt, line in zip(asked, prompts, group.lines, strict=True):
        slots = line.slots
        parts = layout.parts(slots.main, np.array(slots.audio))
        said = Message("assistant", tuple(parts), wants=wants)
        whole, begin = layout.example([*messages, said]), len(prompt.main)
        # Text drawn at random need not be split as it would be encoded.
        first = slots.main.index(problem.layout.vocabulary.mark("<sound>"))
        ids = whole["targets"][begin:].tolist()
        again = ids.index(slots.main[first])
        assert ids[again:] == _wordless(slots.main[first:], layout)
        places, learned = np.array(slots.places), whole["places"][begin:]
        np.testing.assert_array_equal(
            places[first:] - places[first], learned[again:] - learned[again]
        )


def test_a_conversation_that_is_too_long_is_refused() -> None:
    problem = toy_omni.toy_problem("delay")
    chat = Chat(problem, toy_omni.toy_model(problem, "delay"))
    sound = Coded("sound", np.zeros((LENGTHS[-1], 4), np.int32))
    with pytest.raises(DecodeError, match="at most 256 can be read"):
        chat.answers(
            [(Message("user", (sound,)),)], [Message("assistant", (), wants=("text",))]
        )


def _plain(answers: Any) -> Any:
    return [
        [p.text if isinstance(p, Text) else p.codes.tolist() for p in parts]
        for parts in answers
    ]
