"""The table of rules: a row and a page for each code."""

from __future__ import annotations

from dataclasses import dataclass

from convaudit.records.findings import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class LintRule:
    """One rule; its texts are plain, so that each format shows them as it can."""

    code: str
    name: str
    severity: Severity
    summary: str  # one sentence
    why: str  # why it matters
    proof: str  # how it is proven
    fix: str  # what --fix does
    example: str


def _table(*rules: LintRule) -> dict[str, LintRule]:
    return {rule.code: rule for rule in rules}


LINT_RULES = _table(
    LintRule(
        code="CA101",
        name="constant-filter",
        severity="warning",
        summary="A filter gives the same number everywhere, whatever the input.",
        why=(
            "All its weights, all its multiplications and its share of every later layer produce one "
            "number that could be written down instead. Such filters are left by training with weight "
            "decay, by pruning that only writes zeros, and by transforms such as the sine of frequency 0."
        ),
        proof=(
            "All weights of the filter are zero (-0.0 too), its bias is stored, and nothing else is added "
            "to its output; so each output is the bias. Or the filter reads only channels that are "
            "constants, away from any padding. Constants are followed through the whole graph: "
            "activations, batch norms, poolings, sums and concatenations of constants are constants. This "
            "holds for every input on which the activations are finite."
        ),
        fix=(
            "Removes the filter, its bias and its channel in all that is tied to it, and adds what the "
            "constant gave to the biases of the layers that read it. A padded layer sees zeros beyond the "
            "border where the constant is not zero: there the filter stays, and the finding says so."
        ),
        example=(
            "A 1x1 convolution of 768 filters has 491 that are all zero: their outputs are their biases, "
            "so the next layer's 491 columns are constants too."
        ),
    ),
    LintRule(
        code="CA102",
        name="unread-channel",
        severity="warning",
        summary="No output of the network depends on a channel that is computed.",
        why=(
            "The filter is computed, written to memory and read back, and then multiplied with zeros or "
            "dropped."
        ),
        proof=(
            "Backwards from the outputs, over the whole graph: a channel is read if an operator that an "
            "output depends on reads it. A convolution does not read a channel for which all its weights "
            "are zero; a Slice or Split does not read what it leaves out. An operator that is not in the "
            "table reads everything."
        ),
        fix=(
            "Removes the filter, its bias, its channel in everything between, and the zero columns of "
            "those that read it. Channels that are tied by a sum or a concatenation go only if all of "
            "them can."
        ),
        example=(
            "A layer's columns for inputs 3 and 9 are zero, and nobody else reads these channels: the "
            "filters 3 and 9 of the layer before need not be computed."
        ),
    ),
    LintRule(
        code="CA103",
        name="negligible-channel",
        severity="warning",
        summary="What a channel adds is lost in the rounding of the sums that it enters.",
        why=(
            "The channel costs as much as any other one, and changes no result by more than the order of "
            "summation does."
        ),
        proof=(
            "What the channel can add to each sum, by bounds of its activation (a Sigmoid is within 0 and "
            "1) or by the activations of one run on data that you name, is below the unit roundoff of "
            "that sum. This is not exact: the finding is within_rounding, on the inputs that its message "
            "names."
        ),
        fix="Only with --within-rounding: as for an unread channel.",
        example=(
            "Weights of 1e-33 meet a channel within 0 and 6, in sums whose other terms are about 1: "
            "float32 keeps nothing of it."
        ),
    ),
    LintRule(
        code="CA104",
        name="duplicate-filter",
        severity="warning",
        summary="Filters are the same, bit for bit.",
        why="The same numbers are computed several times.",
        proof=(
            "The weights and the bias of both are bit-identical, they read the same group of inputs, and "
            "nothing else is added to either; so their outputs are the same on every input."
        ),
        fix=(
            "Nothing yet: one of them would have to stay, and the columns of the others would have to "
            "be added to its column in the layers that read them."
        ),
        example=(
            "The filters 5 and 7 repeat filter 2: three equal channels, of which the next layer takes a "
            "weighted sum; one channel with the summed weights gives the same."
        ),
    ),
    LintRule(
        code="CA105",
        name="unused-input",
        severity="warning",
        summary=(
            "The weights that an input channel meets do nothing: they are zero, or the channel is constant."
        ),
        why="The column is stored and multiplied for every filter and every position.",
        proof=(
            "All weights of the column are zero; or the channel is the same number on every input, and "
            "where the layer reads it there is no padding, or it is zero, so that what it adds is a "
            "constant of each filter."
        ),
        fix=(
            "Removes the column, where the channel can go from all other layers that read it; what a "
            "constant adds goes to the biases."
        ),
        example=(
            "The input channel 12 meets only zeros in all 64 filters: 64 kernels are multiplied for nothing."
        ),
    ),
    LintRule(
        code="CA201",
        name="zero-border",
        severity="warning",
        summary="Taps along the border of the kernel are zero in all filters.",
        why="A 5x5 kernel of which only the inner 3x3 is used costs 25/9 of what it needs.",
        proof=(
            "Along each axis the taps at either end are zero for all filters and all inputs; so they add "
            "nothing. Zeros inside of the kernel are not counted, since no smaller kernel leaves them "
            "out."
        ),
        fix=(
            "Crops the kernel, and takes as much (times the dilation) away from the padding. Where there "
            "is less padding than that the finding stays, and says so."
        ),
        example=(
            "A 1-D kernel of 512 taps has zeros in the first 100 and the last 105 of every filter: 307 "
            "taps with less padding compute the same."
        ),
    ),
    LintRule(
        code="CA202",
        name="padding-tap",
        severity="warning",
        summary="Taps only ever meet padding: the input is too small for them.",
        why=(
            "On a small input most of a padded kernel lies outside of it at every position. The taps are "
            "stored, were hardly trained, and many kernels multiply them all the same."
        ),
        proof=(
            "From the sizes: with output position o, tap t, stride s, dilation d and padding p before "
            "the input, the tap reads the position o*s + t*d - p. If that is outside of the input for "
            "every o, it only reads zeros. For a transposed convolution input and output change places: "
            "the tap writes only where the output is cut off. Said only where the sizes are known "
            "integers, of these sizes, and not where one run of the model told them."
        ),
        fix=(
            "Crops the kernel and its padding to the taps that meet values, if the model fixes these "
            "sizes for every input. Not if you named them with --input-shape or --dim."
        ),
        example=(
            "A 3x3 convolution with padding 1 on an input of 1x1 uses its centre only: 8 of 9 taps meet "
            "nothing but padding."
        ),
    ),
    LintRule(
        code="CA203",
        name="skipped-input",
        severity="info",
        summary="What is computed is then skipped by a stride.",
        why="Three of four positions are computed and never read.",
        proof=(
            "All that read the output take every second position or fewer (a 1x1 convolution or a pooling "
            "with a stride, a Slice with a step), and none of them reads the positions between."
        ),
        fix=(
            "Nothing: the stride would have to move into the layer itself. The finding says how many "
            "positions nobody reads."
        ),
        example=(
            "A 3x3 convolution is followed by a 1x1 convolution of stride 2, which reads a quarter of it."
        ),
    ),
    LintRule(
        code="CA204",
        name="latent-groups",
        severity="warning",
        summary="A layer hides groups: its kernels between blocks of channels are all zero.",
        why=(
            "With groups=g it would have 1/g of the parameters and MACs. Structured pruning, and "
            "exporters that write grouped layers as dense ones, leave such weights."
        ),
        proof=(
            "The channels are the nodes of a graph, and kernels that are not all zero are its edges. Its "
            "connected components are combined to blocks of equal size, each with its own outputs and "
            "inputs, so that between two blocks every kernel is zero. At least two components are real; "
            "channels without any kernel only fill blocks up. The blocks may be permuted: then the "
            "finding says so."
        ),
        fix=(
            "Writes the layer with groups=g. Where the blocks are permuted, a Gather before the layer "
            "and one behind it reorder the channels."
        ),
        example=(
            "A dense layer of 64 to 64 channels is zero outside of 8 blocks of 8x8: groups=8 computes the "
            "same with an eighth of the MACs."
        ),
    ),
    LintRule(
        code="CA301",
        name="denormal-weights",
        severity="info",
        summary="Weights are denormal: smaller than the smallest normal number of their type.",
        why=(
            "They carry fewer digits than other numbers, are next to nothing beside them, and on "
            "processors that do not flush them to zero each operation with one may take a hundred times "
            "as long. They are what weight decay leaves of weights that nothing needs."
        ),
        proof=(
            "They are counted: not zero, and below 2^-14 (float16), 2^-126 (float32, bfloat16) or 2^-1022 "
            "(float64)."
        ),
        fix=(
            "Nothing: to write zeros would change results, however little. If their channel is "
            "negligible, see CA103."
        ),
        example=(
            "The next layer's columns for a dead channel hold 1e-39: weight decay has brought them there."
        ),
    ),
    LintRule(
        code="CA302",
        name="non-finite-weights",
        severity="error",
        summary="Weights or biases are infinite or not a number.",
        why=(
            "Every output that such a weight reaches is infinite or NaN. The training diverged, or a "
            "conversion overflowed."
        ),
        proof="They are counted. The channels are those of the filters that hold one.",
        fix="Nothing: what they should have been is not in the file.",
        example=(
            "A weight of 70000 was converted to float16, whose largest number is 65504: it is infinite now."
        ),
    ),
    LintRule(
        code="CA401",
        name="punished-groups",
        severity="info",
        summary="The runtime takes longer for a layer's groups than for fewer of them.",
        why=(
            "Fewer groups mean more multiplications; where they take less time all the same, the "
            "runtime's kernels for this number of groups are slow, and the saving exists on paper only."
        ),
        proof=(
            "It is measured, with --time: medians of repeated runs of the layer alone, with different "
            "groups in turn. It is observed, on the machine, the runtime and the threads that the message "
            "names, and proves nothing about other ones."
        ),
        fix=(
            "Nothing. See convaudit sweep for times at every number of groups, and convaudit twin for the "
            "network without groups."
        ),
        example="A layer of 48 groups takes 2.1 ms, the same layer with 1 group 0.9 ms.",
    ),
)
"""By code."""
