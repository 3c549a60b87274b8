package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/sr"

	"github.com/balanceq/balanceq/internal/wait"
	"github.com/balanceq/balanceq/schemas"
)

const (
	lookUpTimeout = 2 * time.Second
	unknownAgain  = 200 * time.Millisecond // a follower may not have heard yet of what its leader has just registered
	refusalLife   = 30 * time.Second       // of what may change: which ids there are, and whose they are
	awayPause     = 30 * time.Second       // without a look-up, after one that failed
	maxVerdicts   = 1024

	// Look-ups may take this much time at once, and in the long run a tenth of it: ids that are made up by the thousand
	// hold no partition up for longer.
	waitBurst = 5 * time.Second
	waitShare = 10
)

// Checker tells whether requests are framed with schemas of requests. What it was told of an id it keeps: ids are
// immutable. Where it is not told, for whatever reason, it has nothing against a request.
type Checker struct {
	client    *Client
	subjects  []string
	log       zerolog.Logger
	unchecked func()
	timeout   time.Duration // of a look-up

	verdicts atomic.Pointer[map[uint32]verdict] // never changed in place
	turn     chan struct{}                      // one look-up at a time: its holder has what is below
	waited   time.Duration                      // as of asked
	asked    time.Time
	pause    time.Time // no look-up until then
	failed   int       // look-ups in a row
}

// verdict is what is known of an id.
type verdict struct {
	refusal *schemas.RequestError // nil: it is one of requests
	until   time.Time             // zero: for ever
}

// NewChecker makes a checker of requests that have a schema of one of the subjects. unchecked hears of each request
// that is accepted because the registry did not tell.
func NewChecker(client *Client, subjects []string, log zerolog.Logger, unchecked func()) *Checker {
	c := &Checker{client: client, subjects: subjects, log: log, unchecked: unchecked, timeout: lookUpTimeout,
		turn: make(chan struct{}, 1)}
	c.verdicts.Store(&map[uint32]verdict{})
	return c
}

// Refuse says what is wrong with a request that is framed with this id; nil: nothing that is known. The first time it
// asks the registry, for two seconds at most, and in an outage not even that.
func (c *Checker) Refuse(ctx context.Context, id uint32) *schemas.RequestError {
	if v, known := c.known(id); known {
		return v.refusal
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil
	}
	if v, known := c.known(id); known { // it was asked meanwhile
		return v.refusal
	}
	now := time.Now()
	if now.Before(c.pause) || c.spent(now) {
		c.unchecked()
		return nil
	}
	v, err := c.lookUp(ctx, id)
	c.waited += time.Since(now)
	switch {
	case ctx.Err() != nil: // whose partition is given back: the next owner asks
		return nil
	case err != nil:
		c.away(err)
		c.unchecked()
		return nil
	}
	if c.failed > 0 {
		c.log.Info().Str("event", "registry_back").Msg("the schema registry answers again: schema ids are checked")
		c.failed = 0
	}
	c.keep(id, v)
	return v.refusal
}

func (c *Checker) known(id uint32) (verdict, bool) {
	v, known := (*c.verdicts.Load())[id]
	return v, known && (v.until.IsZero() || time.Now().Before(v.until))
}

// keep adds a verdict. Where there are too many, those go that end some time, and if that is not enough, any.
func (c *Checker) keep(id uint32, v verdict) {
	next := map[uint32]verdict{id: v}
	for other, v := range *c.verdicts.Load() {
		if v.until.IsZero() && len(next) < maxVerdicts {
			next[other] = v
		}
	}
	for other, v := range *c.verdicts.Load() {
		if !v.until.IsZero() && len(next) < maxVerdicts && other != id {
			next[other] = v
		}
	}
	c.verdicts.Store(&next)
}

// spent says whether look-ups have taken their share of the time.
func (c *Checker) spent(now time.Time) bool {
	c.waited = max(0, c.waited-now.Sub(c.asked)/waitShare)
	c.asked = now
	return c.waited >= waitBurst
}

func (c *Checker) away(err error) {
	c.pause = time.Now().Add(awayPause)
	if c.failed++; wait.Report(c.failed) {
		c.log.Warn().Str("event", "registry_away").Err(err).
			Str("fix", "bring the registry back, or correct requests.registry and schema-registry: docs/RUNBOOK.md").
			Msg("the schema registry does not tell: requests are answered without a look at their schema id")
	}
}

// errStranger says that a registry is not to be believed: it is empty, or another one.
var errStranger = errors.New("the schema registry knows none of requests.registry.subjects")

// lookUp asks the registry. A refusal has to be more than a registry that has lost its schemas, or is the wrong one:
// an outage makes no dead letters. So it is believed only by one that knows requests at all.
func (c *Checker) lookUp(ctx context.Context, id uint32) (verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	schema, err := c.client.describe(ctx, id, c.subjects)
	if err == nil && !schema.known && wait.Sleep(ctx, unknownAgain) {
		schema, err = c.client.describe(ctx, id, c.subjects)
	}
	if err != nil || schema.allowed {
		return verdict{}, err
	}
	switch sound, err := c.client.Has(ctx, c.subjects); {
	case err != nil:
		return verdict{}, err
	case !sound:
		return verdict{}, errStranger
	}
	switch until := time.Now().Add(refusalLife); {
	case !schema.known:
		return verdict{schemas.RefuseFrame(id, ", which the registry does not know; register the schema"), until}, nil
	case schema.kind != sr.TypeJSON:
		return verdict{schemas.RefuseFrame(id, ", which is "+schema.kind.String()+"; send JSON"), time.Time{}}, nil
	default:
		return verdict{schemas.RefuseFrame(id, fmt.Sprintf(", which is none of %s; send one of those",
			strings.Join(c.subjects, ", "))), until}, nil
	}
}
