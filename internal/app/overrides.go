package app

import (
	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/telemetry"
)

// Overrides change parts of an App before it is built of them; the zero value changes none. They are for tests, which
// break a part, and for the demo, which watches one.
type Overrides struct {
	CMS      func(*cmsclient.Config)        // its transport, its authentication
	Observer cmsclient.Observer             // of the CMS client, besides the metrics; nil: none
	Consumer func(*Parts)                   // what it reads with, asks, and hands outcomes to
	Watchdog func(*telemetry.StallTimeouts) // how long what may be silent
}

// Parts is what the consumer is made of.
type Parts struct {
	Config consumer.Config
	consumer.Parts
	Handlers *telemetry.Handlers // what handlers do, as the watchdog sees it
}
