package main

import (
	"github.com/balanceq/balanceq/cmssim"
	"github.com/balanceq/balanceq/tools/bench/stub"
)

// cms is what the program under measurement calls.
type cms interface {
	URL() string
	Stats() stub.Stats
	Close() error
}

// listen starts the CMS of a measurement: the stub, or where faults are needed or asked for, a simulator, which can do
// wrong and costs more. sim is nil where there is none.
func (o options) listen(mode string) (c cms, sim *cmssim.Simulator, err error) {
	const addr = "127.0.0.1:0"
	if mode != modeOutage && mode != modeStalls && o.refused == 0 && !o.simulator {
		c, err = stub.Listen(addr, o.latency)
		return c, nil, err
	}
	server, err := cmssim.Listen(addr, cmssim.Config{Latency: o.latency})
	if err != nil {
		return nil, nil, err
	}
	return simulated{server}, server.Simulator(), nil
}

// simulated is a simulator as a cms.
type simulated struct{ *cmssim.Server }

func (s simulated) Stats() stub.Stats {
	stats := s.Simulator().Stats()
	return stub.Stats{Calls: stats.Calls, MaxInFlight: stats.MaxInFlight, Connections: stats.Connections}
}
