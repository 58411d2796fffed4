"""Words that a tokenizer has no piece of."""

from __future__ import annotations

from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from word2mask.text.byte_tokenizer import byte_tokenizer
from word2mask.text.readability import doubtful_words, unread_words

CORPUS = ["Please segment the red circle in this picture."] * 20 + ["Segment the blue star in the picture."] * 20


def test_bytes_alone_are_no_word():
    trained = byte_tokenizer(CORPUS, 400)
    assert unread_words("the red circle", trained) == ()
    assert unread_words("红色的圆", trained) == ("红色的圆",)
    assert unread_words("the red 狗, the 狗, the vwxqz", trained) == ("狗", "vwxqz")
    assert unread_words("a 3, 😀 ox", trained) == (), "numbers, signs and short words are no words that could be lost"


def test_words_of_several_pieces_are_doubtful_in_a_small_vocabulary():
    trained = byte_tokenizer(CORPUS, 400)
    assert doubtful_words("the red star, Segment", trained) == ()
    assert doubtful_words("the redstart 狗", trained) == ("redstart",), "狗 can't be read at all"
    many = byte_tokenizer(CORPUS, 400)
    many.add_tokens([f"word{number}x" for number in range(2000)])
    assert doubtful_words("the redstart", many) == ()


def test_a_vocabulary_of_bytes_tells_nothing():
    assert unread_words("红色的圆", byte_tokenizer()) == ()


def test_unknown_words_and_bytes_that_were_fallen_back_to():
    words = {"<unk>": 0, "the": 1, "picture": 2, "红": 3, "<0xE5>": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    known = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")
    assert unread_words("the dog 红", known) == ("dog",)
