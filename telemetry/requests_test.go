package telemetry

import (
	"fmt"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/inflight"
	"github.com/balanceq/balanceq/schemas"
)

// histograms returns what each histogram of a name holds, by its labels: its sum in seconds.
func histograms(t *testing.T, reg *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetHistogram().GetSampleCount() > 0 {
				var labels string
				for _, l := range m.GetLabel() {
					labels += l.GetValue() + " "
				}
				sums[labels] = m.GetHistogram().GetSampleSum()
			}
		}
	}
	return sums
}

// A request's stages are told apart, and add up to the time since its record was made.
func TestStages(t *testing.T) {
	pass := func(seconds int) { <-time.After(time.Duration(seconds) * time.Second) }
	tests := map[string]struct {
		before time.Duration // of the record's timestamp, seen from here
		asked  bool
		want   map[string]float64
	}{
		"asked": {time.Minute, true,
			map[string]float64{"fetch_wait ": 60, "queue ": 1, "admit ": 2, "call ": 3, "publish ": 4}},
		"not asked": {time.Minute, false, map[string]float64{"fetch_wait ": 60, "queue ": 6, "publish ": 4}},
		"a fast clock": {-time.Hour, true,
			map[string]float64{"fetch_wait ": 0, "queue ": 1, "admit ": 2, "call ": 3, "publish ": 4}},
		"no timestamp": {time.Since(time.UnixMilli(-1)), true,
			map[string]float64{"fetch_wait ": 0, "queue ": 1, "admit ": 2, "call ": 3, "publish ": 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				m := NewMetrics(reg, "v1", zerolog.Nop())
				req := &inflight.Request{Record: schemas.Record{Time: time.Now().Add(-test.before)}}
				if name == "no timestamp" {
					req.Record.Time = time.UnixMilli(-1)
				}
				req.Stages.Started = inflight.Now()
				pass(1)
				waiting := inflight.Now()
				pass(2)
				if test.asked {
					req.Stages.Waiting, req.Stages.Asked = waiting, inflight.At(time.Now())
				}
				pass(3)
				req.Stages.Decided = inflight.Now()
				pass(4)
				m.Answered(req, schemas.OutcomeComplete, "")

				rounded := func(sums map[string]float64) map[string]float64 {
					for k, v := range sums {
						sums[k] = float64(int(v*1000+.5)) / 1000 // a moment is a nanosecond off at most
					}
					return sums
				}
				if got := rounded(histograms(t, reg, "balanceq_stage_duration_seconds")); !maps.Equal(got, test.want) {
					t.Errorf("%v, want %v", got, test.want)
				}
				total := 0.0
				for _, v := range test.want {
					total += v
				}
				want := map[string]float64{"up complete ": total}
				if got := rounded(histograms(t, reg, "balanceq_request_duration_seconds")); !maps.Equal(got, want) {
					t.Errorf("%v, want %v", got, want)
				}
			})
		})
	}
}

// A request has waited for the CMS where that was down at any time between its record's timestamp and its outcome.
func TestDownMeanwhile(t *testing.T) {
	open := func(m *Metrics) {
		m.BreakerChanged(cmsclient.BreakerClosed, cmsclient.BreakerOpen, cmsclient.Failing{})
	}
	half := func(m *Metrics) {
		m.BreakerChanged(cmsclient.BreakerOpen, cmsclient.BreakerHalfOpen, cmsclient.Failing{})
	}
	shut := func(m *Metrics) {
		m.BreakerChanged(cmsclient.BreakerHalfOpen, cmsclient.BreakerClosed, cmsclient.Failing{})
	}
	halt, resume := func(m *Metrics) { m.Halted(nil) }, (*Metrics).Resumed
	record := func(*Metrics) {} // its timestamp
	tests := map[string]struct {
		events []func(*Metrics)
		born   int // which of them is the record
		want   string
	}{
		"always up":                     {[]func(*Metrics){record}, 0, "up"},
		"down all the time":             {[]func(*Metrics){open, record}, 1, "down"},
		"went down":                     {[]func(*Metrics){record, open}, 0, "down"},
		"half-open":                     {[]func(*Metrics){open, half, record}, 2, "down"},
		"down and up again":             {[]func(*Metrics){record, open, half, shut}, 0, "down"},
		"was up again before":           {[]func(*Metrics){open, half, shut, record}, 3, "up"},
		"came up meanwhile":             {[]func(*Metrics){open, record, half, shut}, 1, "down"},
		"halted":                        {[]func(*Metrics){record, halt, resume}, 0, "down"},
		"halted, and the breaker shuts": {[]func(*Metrics){halt, open, half, shut, record}, 4, "down"},
		"resumed before":                {[]func(*Metrics){halt, resume, record}, 2, "up"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				m := NewMetrics(reg, "v1", zerolog.Nop())
				req := &inflight.Request{}
				for i, event := range test.events {
					if event(m); i == test.born {
						req.Record.Time, req.Stages.Started = time.Now(), inflight.Now()
					}
					<-time.After(time.Second)
				}
				req.Stages.Decided = inflight.Now()
				m.Answered(req, consumer.OutcomeDeadLetter, schemas.ReasonExpired)
				got := histograms(t, reg, "balanceq_request_duration_seconds")
				if _, there := got[test.want+" dead-letter "]; !there || len(got) != 1 {
					t.Errorf("%v, want %s", got, test.want)
				}
			})
		})
	}
}

// sampled is the span of a request that is traced.
type sampled struct{ inflight.Span }

func (sampled) IDs() (trace, span string) {
	return "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
}

// The trace of a sampled request is an exemplar of its duration, and of others there is none.
func TestExemplars(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg, "v1", zerolog.Nop())
	for outcome, span := range map[string]inflight.Span{schemas.OutcomeComplete: sampled{}, schemas.OutcomePartial: nil} {
		m.Answered(&inflight.Request{Span: span, Record: schemas.Record{Time: time.Now()},
			Stages: inflight.Stages{Started: inflight.Now(), Decided: inflight.Now()}}, outcome, "")
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			for _, b := range metric.GetHistogram().GetBucket() {
				if e := b.GetExemplar(); e != nil {
					trace := e.GetLabel()[0]
					found[fmt.Sprint(f.GetName(), " ", outcomeOf(metric), " ", trace.GetName(), " ", trace.GetValue())]++
				}
			}
		}
	}
	want := "balanceq_request_duration_seconds complete trace_id 0af7651916cd43dd8448eb211c80319c"
	if len(found) != 1 || found[want] != 1 {
		t.Errorf("%v", found)
	}
}

func outcomeOf(m *dto.Metric) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == "outcome" {
			return l.GetValue()
		}
	}
	return ""
}
