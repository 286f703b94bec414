"""The tiny checkpoint's own tokenizer: fixed prompt text in a handful of tokens, words whole, any text possible.

The fixed pieces of the prompts and the legal answers are added tokens, matched before anything else; what is between
them (the task sentence) is split at words and merged by a byte-level BPE trained on the task words. So a prompt is a
few tens of tokens, the words of a task always tokenise alike, and unknown words fall back to bytes.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from lrm_reward_node import prompts
from lrm_reward_node.readout import ANSWERS, PROGRESS_BINS

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
VOCABULARY_LIMIT = 1024
ANSWER_WORDS = ("yes", "no")


def build_tokenizer(corpus: Iterable[str], pieces: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Train the tokenizer; the same corpus gives the same tokenizer.

    Args:
        corpus: sentences whose words become tokens.
        pieces: further fixed texts, each one token.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_LIMIT,
        min_frequency=1,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # Words occur at the start of a text and after a blank: both forms become tokens.
    words = sorted({word for text in [*corpus, *ANSWER_WORDS] for word in text.split()})
    tokenizer.train_from_iterator([form for word in words for form in (word, f" {word}")], trainer)
    fixed = [*prompts.fixed_pieces(), *answer_pieces(), *pieces, "user\n", "assistant\n"]
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in dict.fromkeys(fixed)])
    return as_qwen(tokenizer)


def as_qwen(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """``tokenizer`` with the control tokens and the padding of Qwen3-VL."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        extra_special_tokens=list(SPECIAL),
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=4096,
    )


def answer_pieces() -> list[str]:
    """Opening and closing of every legal answer, and the legal values themselves."""
    pieces = list(PROGRESS_BINS)
    for answers in ANSWERS.values():
        first = answers.texts[0]
        opening = first[: first.index(":") + 2]
        quoted = first[len(opening)] == '"'
        pieces += [opening + '"' * quoted, '"' * quoted + " }"]
    return [*dict.fromkeys(pieces), "ImageA", "ImageB"]
