package status

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/balanceq/balanceq/internal/cli/instances"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/internal/rights"
	"github.com/balanceq/balanceq/kafkawire"
)

// sight is what to look at.
type sight struct {
	urls   []string
	named  bool // there should be no other instances
	config config.Config
	client *kafkawire.Client // nil: Kafka is not asked
	maxLag time.Duration
}

// look asks all instances and Kafka, side by side.
func (s *sight) look(ctx context.Context) *Document {
	d := &Document{At: time.Now().UTC().Truncate(time.Millisecond), Instances: []Instance{}}
	var asking sync.WaitGroup
	var group *Group
	var err error
	if s.client != nil {
		asking.Go(func() { group, err = askGroup(ctx, s.client, s.config.Kafka, s.config.Topics.Requests) })
	}
	d.Instances = ask(ctx, s.urls)
	asking.Wait()
	if err != nil {
		for _, what := range s.unasked(ctx, err) {
			d.problem(rankKafka, "kafka", what)
		}
		s.client.Reset()
	} else {
		d.Group = group
	}
	d.join()
	d.sum()
	d.conclude(s.named, s.maxLag)
	return d
}

// unasked is why Kafka did not tell, a line each: the rights that are missing, where it refuses.
func (s *sight) unasked(ctx context.Context, err error) []string {
	if kafkawire.Forbidden(err) {
		if lacking := finding.Join(preflight.Lacking(ctx, s.config, rights.Status, err)...); lacking != nil {
			return strings.Split(lacking.Error(), "\n")
		}
	}
	return []string{preflight.Unasked(s.config.Kafka, err).Error()}
}

// ask asks each instance for its state. One that answers at several addresses is there once.
func ask(ctx context.Context, urls []string) []Instance {
	at := instances.All(ctx, urls, instances.Access{})
	all := make([]Instance, len(at))
	var asking sync.WaitGroup
	for i := range at {
		asking.Go(func() {
			all[i].URL = at[i].URL
			status, err := at[i].Status(ctx)
			if err != nil {
				all[i].Error = err.Error()
				return
			}
			all[i].Status = &status
		})
	}
	asking.Wait()
	seen := map[string]bool{}
	return slices.DeleteFunc(all, func(i Instance) bool {
		if i.Status == nil {
			return false
		}
		key := i.Status.Instance + strconv.FormatInt(i.Status.Started.UnixNano(), 10)
		was := seen[key]
		seen[key] = true
		return was
	})
}

// join finds for each member of the group the instance that it is.
func (d *Document) join() {
	if d.Group == nil {
		return
	}
	for i := range d.Instances {
		s := d.Instances[i].Status
		if s == nil || s.Member == "" {
			continue
		}
		for j := range d.Group.Members {
			if m := &d.Group.Members[j]; m.ID == s.Member {
				m.Instance, d.Instances[i].Member = s.Instance, true
			}
		}
	}
}

// sum adds up.
func (d *Document) sum() {
	oldest, known := 0.0, false
	for i := range d.Instances {
		s := d.Instances[i].Status
		if s == nil {
			continue
		}
		d.InFlight += s.Health.InFlight
		if d.Group == nil {
			d.Lag, known = d.Lag+s.Health.Lag, true
			for _, p := range s.Held {
				oldest = max(oldest, p.LagSeconds)
			}
		}
	}
	if d.Group != nil {
		oldest, known = d.sumGroup()
	}
	if known {
		d.LagSeconds = &oldest
	}
}

// sumGroup adds the group's lag, and returns the age of its oldest record.
func (d *Document) sumGroup() (oldest float64, known bool) {
	known = true
	for _, p := range d.Group.Partitions {
		d.Lag += p.Lag
		if p.LagSeconds != nil {
			oldest = max(oldest, *p.LagSeconds)
		} else if p.Problem != "" {
			known = false
		}
	}
	return oldest, known || oldest > 0
}
