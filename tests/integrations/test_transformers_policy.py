"""Models of transformers as policies: against models run on single rows, without cache."""

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from numpy.testing import assert_allclose  # noqa: E402

from fenchel import grad  # noqa: E402
from fenchel.alignment import kl_exact  # noqa: E402
from fenchel.integrations.transformers import GenerationPolicy  # noqa: E402
from fenchel.random import RandomStream  # noqa: E402
from tests.integrations.tiny_models import (  # noqa: E402
    END,
    FAMILIES,
    MASK,
    NEW,
    PAD,
    PROMPTS,
    llama,
    t5,
)


@pytest.mark.parametrize("family", FAMILIES)
def test_policy_knows_what_it_says(family):
    """Log-probabilities are those of single rows; equal draws with equal streams."""
    model = FAMILIES[family](0)
    policy = GenerationPolicy(model, max_new_tokens=NEW)
    params = policy.init()
    responses = policy.sample(params, PROMPTS, RandomStream(4), 0.9)
    assert torch.equal(responses, policy.sample(params, PROMPTS, RandomStream(4), 0.9))
    found = policy.logprob(params, PROMPTS, responses)
    lengths = policy.lengths(responses)
    for row, mask, said, length, total in zip(
        PROMPTS, MASK, responses, lengths.tolist(), found.tolist(), strict=True
    ):
        tokens = torch.cat((row[mask.bool()], said[:length]))
        with torch.no_grad():
            logits = model(tokens[None], use_cache=False).logits[0].log_softmax(-1)
        steps = logits[-length - 1 : -1].gather(-1, said[:length, None])
        assert total == pytest.approx(float(steps.sum()), abs=1e-4)
    assert bool((responses[torch.arange(3), lengths - 1] == END)[lengths < NEW].all())


def test_policy_is_differentiable_and_leaves_the_model_alone():
    model = llama(0)
    policy = GenerationPolicy(model, max_new_tokens=4)
    params = policy.init()
    responses = policy.sample(params, PROMPTS, 0, 1.0)
    slopes = grad(lambda p: policy.logprob(p, PROMPTS, responses).sum())(params)
    name = "lm_head.weight"
    moved = dict(params)
    step = 1e-2 * torch.randn(params[name].shape, generator=torch.Generator().manual_seed(0))
    ends = []
    for sign in (1, -1):
        moved[name] = params[name] + sign * step
        ends.append(float(policy.logprob(moved, PROMPTS, responses).sum()))
    assert (ends[0] - ends[1]) / 2 == pytest.approx(float((slopes[name] * step).sum()), rel=2e-2)
    assert torch.equal(dict(model.named_parameters())[name], params[name])


def test_policy_at_temperature_zero_is_greedy():
    model = llama(0)
    policy = GenerationPolicy(model, max_new_tokens=NEW)
    found = policy.sample(policy.init(), PROMPTS, None, 0.0)
    wanted = model.generate(
        PROMPTS, attention_mask=MASK, max_new_tokens=NEW, do_sample=False, pad_token_id=END
    )[:, PROMPTS.shape[1] :]
    assert torch.equal(found[:, : wanted.shape[1]], wanted)
    asked, said = policy.decode(PROMPTS, found)
    assert asked[0] == [5, 6] and len(said) == 3


@pytest.mark.parametrize("side", ["left", "right"])
def test_policy_with_an_encoder(side):
    """Prompts are read by the encoder, whichever side they are padded on."""
    model = t5(0)
    policy = GenerationPolicy(model, max_new_tokens=NEW)
    params, prompts = policy.init(), PROMPTS
    if side == "right":
        rows = [row[mask.bool()].tolist() for row, mask in zip(PROMPTS, MASK, strict=True)]
        prompts = torch.tensor([row + [PAD] * (4 - len(row)) for row in rows])
    responses = policy.sample(params, prompts, RandomStream(4), 0.9)
    found, lengths = policy.logprob(params, prompts, responses), policy.lengths(responses)
    for row, said, length, total in zip(
        prompts, responses, lengths.tolist(), found.tolist(), strict=True
    ):
        start = torch.cat((torch.tensor([PAD]), said[: length - 1]))
        with torch.no_grad():
            logits = model(row[row != PAD][None], decoder_input_ids=start[None], use_cache=False)
        steps = logits.logits[0].log_softmax(-1).gather(-1, said[:length, None])
        assert total == pytest.approx(float(steps.sum()), abs=1e-4)
    greedy = policy.sample(params, prompts, None, 0.0)
    wanted = model.generate(
        prompts, attention_mask=(prompts != PAD).long(), max_new_tokens=NEW, do_sample=False
    )[:, 1:]
    kept = policy.lengths(greedy).tolist()
    for row, other, length in zip(greedy, wanted, kept, strict=True):
        assert torch.equal(row[:length], other[:length])
    assert policy.decode(prompts, responses)[0][0] == [5, 6]


@pytest.mark.parametrize("family", [*FAMILIES, "t5"])
def test_policy_is_compared_along_its_responses(family):
    build = {**FAMILIES, "t5": t5}[family]
    policy = GenerationPolicy(build(0), max_new_tokens=NEW)
    params, reference = policy.init(), GenerationPolicy(build(1), max_new_tokens=NEW).init()
    responses = policy.sample(params, PROMPTS, RandomStream(4), 0.9)
    logp, ref, kl = policy.compare(params, reference, PROMPTS, responses)
    for parts, wanted in ((params, logp), (reference, ref)):
        found = policy.logprob(parts, PROMPTS, responses)
        assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5)
    assert bool((kl > 0).all()) and not kl.requires_grad
    assert_allclose(policy.compare(params, params, PROMPTS, responses)[2].numpy(), 0, atol=1e-5)
    own, other = (policy._logits(p, PROMPTS, responses) for p in (params, reference))
    counted = torch.arange(NEW) < policy.lengths(responses)[:, None]
    assert_allclose(kl.numpy(), kl_exact(own, other, counted).numpy(), rtol=1e-5)


def test_policy_errors():
    with pytest.raises(ValueError, match="eval mode"):
        GenerationPolicy(llama(0).train(), max_new_tokens=3)
    with pytest.raises(ValueError, match="max_new_tokens"):
        GenerationPolicy(llama(0), max_new_tokens=0)
    with pytest.raises(TypeError, match="max_new_tokens"):
        GenerationPolicy(llama(0), max_new_tokens=2.5)
    model = t5(0)
    model.config.decoder_start_token_id = None
    with pytest.raises(ValueError, match="decoder_start_token_id"):
        GenerationPolicy(model, max_new_tokens=3)
    policy = GenerationPolicy(llama(0), max_new_tokens=3)
    with pytest.raises(ValueError, match="`temperature`"):
        policy.sample(policy.init(), PROMPTS, 0, float("nan"))
