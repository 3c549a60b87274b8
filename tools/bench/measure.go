package main

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// figures are what a measurement is compared by.
type figures []figure

type figure struct {
	name  string
	value float64
}

// run measures each mode, or each in both deliveries by turns, so that what changes on the machine meets both alike.
func run(ctx context.Context, o options, w io.Writer) error {
	if slices.Contains(o.modes, modeStalls) {
		return o.stalls(ctx, w)
	}
	addrs, end, err := o.cluster(ctx)
	if err != nil {
		return err
	}
	defer end()
	o.brokers = addrs
	if len(o.peers) > 0 {
		return o.contest(ctx, w)
	}
	if o.delivery != both {
		for _, mode := range o.modes {
			if _, err := o.measure(ctx, mode, w); err != nil {
				return err
			}
		}
		return nil
	}
	taken := map[string]rounds{}
	for round := range 1 + o.rounds {
		for _, mode := range o.modes {
			var pair [2]figures
			for i, delivery := range []string{atLeastOnce, exactlyOnce} {
				o.delivery = delivery
				if _, err := fmt.Fprintf(w, "round %d  %s  ", round, delivery); err != nil {
					return err
				}
				if pair[i], err = o.measure(ctx, mode, w); err != nil {
					return err
				}
			}
			if round > 0 { // until then the broker has been finding its feet
				taken[mode] = append(taken[mode], pair)
			}
		}
	}
	return compare(w, o.modes, taken)
}

// with makes one measurement, with a CMS and topics of its own.
func (o options) with(ctx context.Context, mode string,
	measure func(context.Context, *bench) (figures, error)) (figures, error) {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	cms, sim, err := o.listen(mode)
	if err != nil {
		return nil, err
	}
	defer func() { _ = cms.Close() }() // the process ends anyway
	b, err := newBench(ctx, o, cms, sim, fail)
	if err != nil {
		return nil, err
	}
	defer b.close()
	return measure(ctx, b)
}

func (o options) measure(ctx context.Context, mode string, w io.Writer) (figures, error) {
	return o.with(ctx, mode, func(ctx context.Context, b *bench) (figures, error) {
		switch mode {
		case modeBatch:
			t, err := b.batch(ctx, w)
			return figures{{"requests/s", t.PerSecond}, {"CPU, us/request", t.CPU}}, err
		case modeRate:
			t, err := b.pace(ctx, w)
			return figures{{"p50, ms", t.P50}, {"p99, ms", t.P99}, {"CPU, us/request", t.CPU}}, err
		case modeTransport:
			return b.transport(ctx, w)
		case modeKill:
			return nil, b.kill(ctx, w)
		case modeOutage:
			return nil, b.down(ctx, w)
		case modeLetters:
			return nil, b.letters(ctx, w)
		case modeIdle:
			return b.rest(ctx, w)
		case modeScale:
			return nil, b.scale(ctx, w)
		case modeStart:
			return b.startStop(ctx, w)
		case modeAsk:
			return b.ask(ctx, w)
		}
		return nil, b.live(ctx, w)
	})
}

// rounds are the figures of at-least-once and exactly-once, round by round.
type rounds [][2]figures

// compare prints a Markdown table: the medians, and the median of the rounds' ratios.
func compare(w io.Writer, modes []string, taken map[string]rounds) error {
	_, err := fmt.Fprintf(w, "\n| mode | figure | %s | %s | ratio (lowest–highest) |\n|---|---|---|---|---|\n",
		atLeastOnce, exactlyOnce)
	for _, mode := range modes {
		for i, figure := range taken[mode][0][0] {
			var sides [2][]float64
			var ratios []float64
			for _, pair := range taken[mode] {
				a, b := pair[0][i].value, pair[1][i].value
				sides[0], sides[1], ratios = append(sides[0], a), append(sides[1], b), append(ratios, b/a)
			}
			if err == nil {
				_, err = fmt.Fprintf(w, "| %s | %s | %s | %s | %.2f (%.2f–%.2f) |\n", mode, figure.name,
					digits(median(sides[0])), digits(median(sides[1])), median(ratios), slices.Min(ratios), slices.Max(ratios))
			}
		}
	}
	return err
}

// digits prints what matters of a number.
func digits(x float64) string {
	if x >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// median is the value in the middle, or the mean of the two there.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}
