"""The whole of `bifast tune`: score, choose, write, report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from bifast.format import Level, ModelFile
from bifast.intervals import binomial_interval, poisson_interval
from bifast.model import Model
from bifast.tune import live, margins
from bifast.tune.material import PARTS, Material, Part, Wave
from bifast.tune.scores import Recording, Setting
from bifast.tune.thresholds import GRID, Curve, Heard, choose, curve
from bifast.word import NOT_WORDS, Word

RATES = (0.5, 1.0, 2.0, 5.0, 10.0)
# Windows over which a probability may be averaged.
_WINDOWS = (1, 2, 3, 4)
# Seconds of quiet before a clip, and between two recordings of background.
_GAP = (1.5, 2.0)
_PAUSE = 1.0
_REFRACTORY = 1.0
# Pieces of background from which the fixed stream is made.
_PIECES = 1000

Item = TypeVar("Item")
Track = Callable[[Sequence[Item], str], Iterable[Item]]


@dataclass(frozen=True)
class Options:
    """What is asked for.

    Attributes
    ----------
    hop
        Seconds between windows.
    rate
        False accepts per hour that each word may have.
    smoothing
        Seconds; None: the best of one to four windows.
    loss
        Share of the words that the cascade may lose.
    minutes
        Length of the fixed stream.
    seed
        Of all that is drawn.
    margins_only
        Leave the settings of the words as they are and find the margins that go with them.
    """

    hop: float = 0.25
    rate: float = 1.0
    smoothing: float | None = None
    loss: float = 0.001
    minutes: float = 20.0
    seed: int = 0
    margins_only: bool = False


@dataclass(frozen=True)
class Tuned:
    """A model with thresholds and margins, what it reaches (for JSON), and curves to draw.

    `curves` are of the part that was not tuned on: at full depth and at depth `auto`.
    """

    file: ModelFile
    report: dict[str, Any]
    curves: dict[str, Curve]


def tune(model: Model, material: Material, options: Options, track: Track[Any]) -> Tuned:
    """Tune a model on one part of the material and report on the other.

    Parameters
    ----------
    model
        With words among its labels.
    material
        Of `find_material`.
    options
        What is asked for.
    track
        Shows how far it is: `track(items, label)` yields the items.

    Raises
    ------
    ValueError
        If nothing of a part can be read, or an option is out of range.
    """
    file = ModelFile.from_bytes(model.to_bytes())
    kept = None
    if options.margins_only:
        kept = _kept(file)
        material = replace(material, words=_heard_words(material, kept))
    heard, stream = _listen_to_all(model, material, options, track)
    hop = _hop(model, options)
    columns = np.array([model.labels.index(word) for word in material.words])
    refractory = round(_REFRACTORY * model.sample_rate)
    setting = Setting(columns, hop, model.window, refractory, model.sample_rate)
    tuning = heard["tuning"][0]
    smoothings: tuple[int, ...] = _WINDOWS
    smoothing = options.smoothing if kept is None else next(iter(kept.values())).smoothing
    if smoothing is not None:
        smoothings = (max(1, round(smoothing * model.sample_rate / hop)),)
    curves = {n: curve(tuning, n, setting) for n in track(smoothings, "thresholds")}
    windows, chosen = choose(curves, len(columns), options.rate)
    if kept is not None:
        chosen = [kept[word].threshold for word in material.words]
    thresholds = np.array([1.0 if t is None else t for t in chosen])
    cascade = margins.tune_cascade(
        heard["tuning"], file, thresholds, windows, setting, loss=options.loss
    )
    if kept is None:
        kept = _settings(material.words, thresholds, windows * hop / setting.rate)
    tuned = _with_settings(file, kept, cascade)
    reported = {"full": curve(heard["report"][0], windows, setting)}
    what = "cascade" if options.margins_only else "tuned"
    tuned = replace(tuned, card=tuned.card | {what: _card(options, windows, setting, curves)})
    report = {
        "words": _words(material, thresholds, chosen, reported["full"]),
        "rates": _rates(curves[windows], reported["full"], len(columns)),
        "smoothing": windows * hop / setting.rate,
        "hop": hop / setting.rate,
        "hours": {part: heard[part][0].hours for part in PARTS},
        "clips": {part: len(heard[part][0].spans) for part in PARTS},
        "broken": material.broken,
        "depths": list(file.depths),
    }
    final = Model.load(tuned.to_bytes(), isa=model.isa)
    depths = [file.depths[0]]
    if _is_cascade(cascade.levels):
        depths.append("auto")
        auto = _auto(heard["report"], cascade.levels, setting, len(file.labels))
        reported["auto"] = curve(auto, windows, setting)
        report["cascade"] = _cascade(heard["report"], reported, thresholds, cascade, file, setting)
    report["stream"] = {
        "seconds": len(stream.wave) / setting.rate,
        "words": len(stream.words),
        **{depth: asdict(live.listen(final, stream, options.hop, depth)) for depth in depths},
    }
    return Tuned(tuned, report, reported)


def _hop(model: Model, options: Options) -> int:
    with model.stream(hop=options.hop) as stream:
        return round(stream.hop * model.sample_rate)


def _listen_to_all(
    model: Model, material: Material, options: Options, track: Track[Any]
) -> tuple[dict[Part, list[Heard]], live.Stream]:
    """Score all of the material at every depth, and make the fixed stream."""
    rng = np.random.default_rng(options.seed)
    spoken = {part: Recording(model, model.depths, options.hop) for part in PARTS}
    noise = {part: Recording(model, model.depths, options.hop) for part in PARTS}
    samples = dict.fromkeys(PARTS, 0)
    spans: dict[Part, list[tuple[int, int, int]]] = {part: [] for part in PARTS}
    words: list[tuple[str, Wave]] = []
    background: list[Wave] = []
    for part in PARTS:
        for clip in track(material.clips(part), f"words, {part}"):
            wave = material.wave(clip)
            if wave is None:
                continue
            gap = int(rng.uniform(*_GAP) * material.rate)
            spoken[part].add(rng.normal(0.0, _floor(wave), gap).astype(np.float32))
            span = spoken[part].add(wave)
            spans[part].append((material.words.index(clip.word), *span))
            if part == "report":
                words.append((clip.word, wave))
        spoken[part].add(np.zeros(int(_GAP[1] * material.rate), np.float32))
    longest = int(live.LONGEST * material.rate)
    for source in track(material.sources(), "background"):
        for part, wave in material.pieces(source):
            noise[part].add(wave)
            noise[part].add(np.zeros(int(_PAUSE * material.rate), np.float32))
            samples[part] += len(wave)
            if part == "report" and len(background) < _PIECES:
                background.append(wave[:longest].copy())
    for part in PARTS:
        if not spans[part] or not samples[part]:
            what = "clip of a word" if not spans[part] else "background"
            why = f"; {material.broken[0]}" if material.broken else ""
            raise ValueError(f"no {what} to use for {part}{why}")
    stream = live.assemble(words, background, 60 * options.minutes, material.rate, options.seed)
    heard: dict[Part, list[Heard]] = {}
    for part in PARTS:
        clips, sounds = spoken[part].logits(), noise[part].logits()
        hours = samples[part] / material.rate / 3600
        heard[part] = [Heard(clips[d], spans[part], sounds[d], hours) for d in model.depths]
    return heard, stream


def _floor(wave: Wave) -> float:
    """RMS of the quietest tenth of a clip."""
    tenths = wave[: len(wave) // 10 * 10].reshape(10, -1)
    return (
        float(np.sqrt(np.square(tenths, dtype=np.float64).mean(axis=1)).min())
        if len(wave) > 9
        else 0.0
    )


def _is_cascade(levels: Sequence[Level | None]) -> bool:
    return sum(level is not None for level in levels) > 1


def _kept(file: ModelFile) -> dict[str, Word]:
    """Return the settings that margins are to go with; ValueError if there can be no margins."""
    if len(file.depths) < 2:
        raise ValueError("--margins-only: expected a model with several depths, got one with one")
    if not file.words:
        return {label: Word() for label in file.labels if label not in NOT_WORDS}
    kept = {n: w for n, w in zip(file.labels, file.words, strict=True) if w is not None}
    if len({word.smoothing for word in kept.values()}) != 1:
        raise ValueError(
            "--margins-only: expected words that are all smoothed over the same seconds, got "
            + ", ".join(f"{name} {word.smoothing:g}" for name, word in kept.items())
        )
    return kept


def _heard_words(material: Material, kept: Mapping[str, Word]) -> tuple[str, ...]:
    """Return the words that have clips and settings: others are not listened for."""
    words = tuple(word for word in material.words if word in kept)
    if not words:
        raise ValueError(
            f"--margins-only: expected clips of the words that have thresholds, {', '.join(kept)}; "
            f"found {', '.join(material.words)}"
        )
    return words


def _settings(words: Sequence[str], thresholds: NDArray[Any], smoothing: float) -> dict[str, Word]:
    return {
        word: Word(float(t), round(smoothing, 6), _REFRACTORY)
        for word, t in zip(words, thresholds, strict=True)
    }


def _with_settings(
    file: ModelFile, settings: Mapping[str, Word], cascade: margins.Chosen
) -> ModelFile:
    """Write the settings of the words, and the cascade; what other words have stays."""
    known = dict(zip(file.labels, file.words, strict=True)) if file.words else {}
    known |= settings
    levels = cascade.levels if _is_cascade(cascade.levels) else ()
    return replace(file, words=tuple(known.get(label) for label in file.labels), cascade=levels)


def _card(
    options: Options, windows: int, setting: Setting, curves: dict[int, Curve]
) -> dict[str, Any]:
    """Return what the model's card tells of its tuning."""
    aim: dict[str, float] = {"false_accepts_per_hour_and_word": options.rate}
    if options.margins_only:
        aim = {"loss": options.loss}
    return {
        "hop": setting.hop / setting.rate,
        **aim,
        "hours": round(curves[windows].hours, 3),
        "clips": len(curves[windows].scores),
        "seed": options.seed,
    }


def _words(
    material: Material, thresholds: NDArray[Any], chosen: list[float | None], found: Curve
) -> list[dict[str, Any]]:
    """Each word's threshold and what it gives on the part that was not tuned on."""
    rows = []
    for column, word in enumerate(material.words):
        scores = found.scores[found.word_of == column]
        hits = int((scores >= thresholds[column]).sum())
        at = int(np.argmin(abs(GRID - thresholds[column])))
        accepts = int(found.accepts[at, column]) if chosen[column] is not None else 0
        rows.append(
            {
                "word": word,
                "threshold": None if chosen[column] is None else float(thresholds[column]),
                **counted(hits, len(scores), accepts, found.hours),
            }
        )
    return rows


def counted(hits: int, clips: int, accepts: int, hours: float) -> dict[str, Any]:
    """Recall and false accepts per hour, with their 95 % intervals."""
    return {
        "hits": hits,
        "clips": clips,
        "recall": hits / clips,
        "recall_interval": binomial_interval(hits, clips),
        "accepts": accepts,
        "accepts_per_hour": accepts / hours,
        "accepts_per_hour_interval": tuple(n / hours for n in poisson_interval(accepts)),
    }


def _rates(tuning: Curve, found: Curve, n_words: int) -> list[dict[str, Any]]:
    """All words together, each word held to a rate on the tuning part, counted on the other."""
    rows = []
    for rate in RATES:
        hits = accepts = clips = 0
        for word in range(n_words):
            threshold = tuning.threshold(word, rate)
            scores = found.scores[found.word_of == word]
            clips += len(scores)
            if threshold is None:
                continue
            hits += int((scores >= threshold).sum())
            accepts += int(found.accepts[int(np.argmin(abs(GRID - threshold))), word])
        rows.append({"rate": rate, **counted(hits, clips, accepts, found.hours)})
    return rows


def _auto(
    heard: Sequence[Heard], levels: Sequence[Level | None], setting: Setting, n_labels: int
) -> Heard:
    """Return what depth `auto` hears."""
    is_word = np.zeros(n_labels, bool)
    is_word[setting.columns] = True
    clips, _ = margins.cascaded([h.clips for h in heard], levels, is_word)
    background, _ = margins.cascaded([h.background for h in heard], levels, is_word)
    return Heard(clips, heard[0].spans, background, heard[0].hours)


def _cascade(
    heard: Sequence[Heard],
    curves: dict[str, Curve],
    thresholds: NDArray[Any],
    cascade: margins.Chosen,
    file: ModelFile,
    setting: Setting,
) -> dict[str, Any]:
    """Compare the cascade with full depth on the part that was not tuned on."""
    is_word = np.zeros(len(file.labels), bool)
    is_word[setting.columns] = True
    _, depth = margins.cascaded([h.background for h in heard], cascade.levels, is_word)
    shared, own = margins.work_of(file)

    def told(found: Curve) -> dict[str, Any]:
        hits = int((found.scores >= thresholds[found.word_of]).sum())
        at = [int(np.argmin(abs(GRID - t))) for t in thresholds]
        accepts = int(sum(found.accepts[i, word] for word, i in enumerate(at)))
        return counted(hits, len(found.scores), accepts, found.hours)

    return {
        "levels": {
            name: None if level is None else asdict(level)
            for name, level in zip(file.depths, cascade.levels, strict=True)
        },
        "depths": {name: float((depth == i).mean()) for i, name in enumerate(file.depths)},
        "work": margins.relative_work(depth, cascade.levels, shared, own),
        "full": told(curves["full"]),
        "auto": told(curves["auto"]),
    }
