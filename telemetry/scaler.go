package telemetry

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Scaler tells how many instances the work of this one is worth, as balanceq_scale_demand.
type Scaler struct {
	sources Sources
	metrics *Metrics
	gauge   prometheus.Gauge
	demand  demand
	cpu     func() time.Duration // used so far
	cores   float64
	looked  time.Time
	used    time.Duration // of CPU, when it looked last
}

// NewScaler registers the metric; Run keeps it up to date. metrics must be the observer of those that sources are of.
func NewScaler(reg prometheus.Registerer, metrics *Metrics, sources Sources) *Scaler {
	s := &Scaler{sources: sources, metrics: metrics, cpu: processCPU, cores: float64(runtime.GOMAXPROCS(0)),
		gauge: registered(reg, gaugeVec("balanceq_scale_demand")).WithLabelValues()}
	s.gauge.Set(1)
	return s
}

// scalerLooks is the time between two looks: less than Prometheus takes between two scrapes.
const scalerLooks = 5 * time.Second

// Run looks again and again until ctx ends.
func (s *Scaler) Run(ctx context.Context) {
	tick := time.NewTicker(scalerLooks)
	defer tick.Stop()
	for {
		s.tell(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Scaler) tell(now time.Time) { s.gauge.Set(s.demand.next(s.look(now))) }

func (s *Scaler) look(now time.Time) workload {
	c, cms := s.sources.Consumer(), s.sources.CMS()
	w := workload{
		at: now, member: c.Joined, owned: len(c.Partitions), waits: make(map[int32]waiting, len(c.Partitions)),
		held: cms.Cause != "" || cms.Paced || s.metrics.requests.cms.downSince(s.looked) || len(c.Starting) > 0 ||
			s.sources.Budget().Spent() || s.sources.Producer().Failing != nil,
		calls: float64(cms.InFlight) / float64(max(1, cms.Limit)),
		fewer: cms.InFlight >= cms.Limit && cms.Limit < cms.Most,
	}
	for i := range c.Partitions {
		// What cannot be read, no other instance could read.
		if p := &c.Partitions[i]; p.Corrupt == nil && !p.HeldUp.Long(now) {
			w.waits[p.Partition] = waiting{p.Begun, p.End}
		}
	}
	used := s.cpu()
	if !s.looked.IsZero() {
		w.cpuRatio = (used - s.used).Seconds() / now.Sub(s.looked).Seconds() / s.cores
	}
	s.looked, s.used = now, used
	return w
}
