package traces

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"

	"github.com/balanceq/balanceq/schemas"
)

// gate decides what is traced before anything is made for it: that is most of what tracing costs.
type gate struct {
	// follows has a request that brings a trace context be traced exactly if that says so.
	follows bool
	ratio   float64 // of the others, 0 to 1
	never   bool    // nothing is ever traced, a replay neither
}

// names of OTEL_TRACES_SAMPLER (OpenTelemetry specification, "Environment Variable Specification").
const (
	samplerVariable = "OTEL_TRACES_SAMPLER"
	ratioVariable   = "OTEL_TRACES_SAMPLER_ARG"
	parentBased     = "parentbased_"
)

// newGate samples that ratio of what brings no trace context. With 0 the standard variables decide, else it is 0. The
// error says what is wrong with a variable; the gate is then as if it were not there.
func newGate(ratio float64) (gate, error) {
	g := gate{follows: true, ratio: ratio}
	sampler := os.Getenv(samplerVariable)
	if ratio > 0 || sampler == "" {
		return g, nil
	}
	kind, based := strings.CutPrefix(sampler, parentBased)
	switch kind {
	case "always_on":
		return gate{follows: based, ratio: 1}, nil
	case "always_off":
		return gate{follows: based, never: true}, nil
	case "traceidratio":
		argument := os.Getenv(ratioVariable)
		if argument == "" {
			return gate{follows: based, ratio: 1}, nil
		}
		share, err := strconv.ParseFloat(argument, 64)
		if err != nil || !(share >= 0 && share <= 1) { // written so that NaN fails
			return g, fmt.Errorf("%s: %q is no ratio; write a number from 0 to 1", ratioVariable, argument)
		}
		return gate{follows: based, ratio: share}, nil
	}
	return g, fmt.Errorf("%s: %q is not known; write always_on, always_off or traceidratio, or one of these behind %s",
		samplerVariable, sampler, parentBased)
}

// open says whether what brings this trace context, or none, is to be traced.
func (g *gate) open(t schemas.Trace) bool {
	switch {
	case t.Parent != nil && g.follows:
		return t.Sampled()
	case g.ratio <= 0:
		return false
	case g.ratio >= 1:
		return true
	case t.Parent == nil:
		return rand.Float64() < g.ratio
	}
	// As TraceIdRatioBased of the SDKs decides, so that all parts of a trace agree.
	trace, _ := t.IDs()
	return binary.BigEndian.Uint64(trace[8:])>>1 < uint64(g.ratio*(1<<63))
}
