package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// taken is what one run gave, with what it has cost.
type taken struct {
	PerSecond                float64 // requests, from the first call to the last result (batch)
	P50, P90, P99, Max       float64 // ms from when a request was due to its result (rate)
	CPU, Harness             float64 // us a record
	PeakRSS                  float64 // MB
	First                    float64 // s from the start of the program to its first result
	Noise                    float64 // cores that others have used meanwhile
	InFlight, Connections    int64   // calls at the CMS, the most at once
	Lost, Repeated, Disorder int
	DeadLetters              int
}

// contest is what is kept of a scenario: the runs of each contender, one a round.
type contest struct {
	Began    time.Time
	Machine  string
	Versions map[string]string  // by contender
	Missing  map[string]string  // why it could not be started here
	Runs     map[string][]taken // by contender
}

// contest measures each scenario in rounds: one contender after the other, so that what changes on the machine meets
// all of them alike, and each round begins with another one.
func (o options) contest(ctx context.Context, w io.Writer) error {
	kept, err := readKept(o.kept)
	if err != nil {
		return err
	}
	for _, s := range o.scenarios {
		c := &contest{
			Began: time.Now(), Machine: machine(), Versions: map[string]string{}, Missing: map[string]string{},
			Runs: map[string][]taken{},
		}
		for round := range o.rounds {
			for i := range o.peers {
				peer := o.peers[(i+round)%len(o.peers)]
				if !s.can(peer) || c.Missing[peer.name] != "" {
					continue
				}
				if _, err := fmt.Fprintf(w, "%s  round %d of %d  %-16s", s.name, round+1, o.rounds, peer.name); err != nil {
					return err
				}
				if err := c.run(ctx, s, s.options(o, peer), w); err != nil {
					return fmt.Errorf("%s: %w", peer.name, err)
				}
			}
		}
		kept[s.name] = c
		if o.report == "" {
			continue // some of them, or to try something: not for keeping
		}
		if err := writeKept(o.kept, kept); err != nil {
			return err
		}
	}
	if err := o.publish(kept, w); err != nil {
		return err
	}
	return o.broken(kept)
}

// broken is what must not be in any run, however slow: requests that got lost, and of balanceq's any that were repeated
// or out of order.
func (o options) broken(kept map[string]*contest) error {
	var all []error
	for _, s := range o.scenarios {
		for name, runs := range kept[s.name].Runs {
			for round, t := range runs {
				if t.Lost > 0 || name == self && (t.Repeated > 0 || t.Disorder > 0 || t.DeadLetters > 0) {
					all = append(all, fmt.Errorf("%s, round %d of %s: lost %d, repeated %d, out of order %d, dead letters %d",
						name, round+1, s.name, t.Lost, t.Repeated, t.Disorder, t.DeadLetters))
				}
			}
		}
	}
	return errors.Join(all...)
}

// run makes one run. A contender that cannot be started here is left out from then on.
func (c *contest) run(ctx context.Context, s scenario, o options, w io.Writer) error {
	name := o.peer.name
	_, err := o.peer.command(o.binary)
	if err == nil {
		c.Versions[name], err = o.peer.version(ctx, o.binary)
	}
	if err != nil {
		c.Missing[name] = err.Error()
		_, err = fmt.Fprintf(w, "not run here: %v\n", err)
		return err
	}
	_, err = o.with(ctx, s.mode, func(ctx context.Context, b *bench) (figures, error) {
		measure := b.batch
		if s.mode == modeRate {
			measure = b.pace
		}
		t, err := measure(ctx, w)
		if err == nil {
			c.Runs[name] = append(c.Runs[name], t)
		}
		return nil, err
	})
	return err
}

// readKept reads what has been kept of each scenario; nothing, where there is no file yet.
func readKept(name string) (map[string]*contest, error) {
	kept := map[string]*contest{}
	text, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &kept); err != nil {
		return nil, fmt.Errorf("%s: %w; delete it, it is made again", name, err)
	}
	return kept, nil
}

func writeKept(name string, kept map[string]*contest) error {
	text, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o600)
}
