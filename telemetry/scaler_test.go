package telemetry

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/processor"
)

// scaled is an instance that begins 50 records a second in each of two partitions, with 150 s of work before it and all
// its calls under way.
type scaled struct {
	fakes
	metrics *Metrics
	scaler  *Scaler
}

func newScaled() *scaled {
	reg := prometheus.NewRegistry()
	s := &scaled{metrics: NewMetrics(reg, "v1", zerolog.Nop())}
	s.cms = cmsclient.Status{InFlight: 8, Limit: 8, Most: 8}
	s.consumer = consumer.Status{Joined: true, Partitions: []consumer.PartitionStatus{
		{Partition: 0, End: 7500}, {Partition: 1, End: 7500}}}
	s.scaler = NewScaler(reg, s.metrics, s.sources())
	s.scaler.cpu = func() time.Duration { return 0 }
	return s
}

// said is the metric.
func (s *scaled) said() float64 {
	var m dto.Metric
	if err := s.scaler.gauge.Write(&m); err != nil {
		return math.NaN()
	}
	return m.GetGauge().GetValue()
}

// says lets time pass and returns the demand.
func (s *scaled) says(after time.Duration) float64 {
	for range after / scalerLooks {
		<-time.After(scalerLooks)
		for i := range s.consumer.Partitions {
			s.consumer.Partitions[i].Begun += 250
			s.consumer.Partitions[i].End += 250
		}
		s.scaler.tell(time.Now())
	}
	return s.said()
}

// What holds the work up is seen where it is: one says so, and goes on saying it for a while after it is over.
func TestScalerSeesWhatHoldsUp(t *testing.T) {
	for name, hold := range map[string]func(s *scaled) (over func()){
		"breaker": func(s *scaled) func() {
			s.cms.Cause = cmsclient.CauseBreaker
			return func() { s.cms.Cause = "" }
		},
		"an outage between two looks": func(s *scaled) func() {
			s.metrics.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, cmsclient.Failing{})
			<-time.After(time.Second)
			s.metrics.BreakerChanged(cmsclient.BreakerHalfOpen, cmsclient.BreakerClosed, cmsclient.Failing{})
			return func() {}
		},
		"rate": func(s *scaled) func() {
			s.cms.Paced = true
			return func() { s.cms.Paced = false }
		},
		"slower answers": func(s *scaled) func() {
			s.cms.Most = 16
			return func() { s.cms.Most = 8 }
		},
		"budget": func(s *scaled) func() {
			s.budget = paused(1)
			return func() { s.budget = processor.BudgetStatus{} }
		},
		"writes": func(s *scaled) func() {
			s.producer.Failing = errors.New("refused")
			return func() { s.producer.Failing = nil }
		},
		"a start that is not known": func(s *scaled) func() {
			s.consumer.Starting = []consumer.StartStatus{{Partition: 2}}
			return func() { s.consumer.Starting = nil }
		},
		"no member": func(s *scaled) func() {
			s.consumer.Joined = false
			return func() { s.consumer.Joined = true }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScaled()
				if said := s.said(); said != 1 {
					t.Errorf("it says %v before it has looked", said)
				}
				before := s.says(time.Minute) // 5, but there are two partitions to share
				over := hold(s)
				during := s.says(scalerLooks)
				over()
				if soon, later := s.says(demandCalm), s.says(time.Minute); before != 2 || during != 1 || soon != 1 || later != 2 {
					t.Errorf("it says %v before, %v while it lasts, %v soon after it and %v later", before, during, soon, later)
				}
			})
		})
	}
}

// A partition that cannot be read is no reason for more: no other instance could read it.
func TestScalerLeavesOutWhatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScaled()
		s.consumer.Partitions[0].Corrupt = &consumer.Corruption{}
		s.consumer.Partitions[1].End = 0
		if said := s.says(2 * time.Minute); said != 1 {
			t.Errorf("it says %v", said)
		}
	})
}

// CPU counts as far as there are cores, and is known of the process itself.
func TestScalerSeesCPU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, used := newScaled(), time.Duration(0)
		s.cms.InFlight, s.scaler.cores = 0, 2
		s.scaler.cpu = func() time.Duration { used += scalerLooks; return used } // one core of two
		s.consumer.Partitions[0].End, s.consumer.Partitions[1].End = 0, 0
		if said := s.says(2 * time.Minute); math.Abs(said-.5/busyEnough) > 0.05 {
			t.Errorf("it says %v", said)
		}
	})
	for before := processCPU(); processCPU() == before; { // by doing this
	}
}
