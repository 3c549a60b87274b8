package app

import (
	"fmt"

	"github.com/balanceq/balanceq/telemetry"
)

// monitor makes what looks at the parts: gauges, the watchdog, and what scaling goes by.
func (a *App) monitor(with Overrides) error {
	sources := a.Sources()
	if err := telemetry.RegisterGauges(a.registry, sources); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	a.scaler = telemetry.NewScaler(a.registry, a.metrics, sources)
	limits := stallTimeouts(a.cfg)
	if with.Watchdog != nil {
		with.Watchdog(&limits)
	}
	var err error
	if a.watchdog, err = telemetry.NewWatchdog(limits, a.registry, a.metrics, sources, a.log); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// Sources give snapshots of the running parts.
func (a *App) Sources() telemetry.Sources {
	return telemetry.Sources{
		Consumer: a.consumer.Status, Producer: a.writing.Status, CMS: a.cms.Status, Budget: a.answers.Budget,
		Keys: a.keys.Status, KafkaToken: a.keys.Token, CallsSaved: a.answers.CallsSaved, Handlers: a.handlers,
		AskKafka: a.probe.Ask,
	}
}
