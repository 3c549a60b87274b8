package app

import (
	"fmt"
	"os"
	"slices"

	"github.com/balanceq/balanceq/telemetry"
)

// monitor makes what looks at the parts and tells of them: gauges, the watchdog, the HTTP server.
func (a *App) monitor(with Overrides) error {
	sources := a.Sources()
	if err := telemetry.RegisterGauges(a.registry, sources); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	limits := stallTimeouts(a.cfg)
	if with.Watchdog != nil {
		with.Watchdog(&limits)
	}
	var err error
	if a.watchdog, err = telemetry.NewWatchdog(limits, a.registry, a.metrics, sources, a.log); err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	if a.cfg.HTTP.Listen == "" {
		return nil
	}
	hosts := a.cfg.HTTP.AllowedHosts
	if name, err := os.Hostname(); err == nil { // a host without a name is asked for by its address
		hosts = append(slices.Clone(hosts), name)
	}
	server, err := telemetry.Listen(a.cfg.HTTP.Listen, hosts, a.registry, sources, a.watchdog, a.resume)
	if err != nil {
		return fmt.Errorf("http.listen: %w; choose another address, or off to serve nothing", err)
	}
	a.server = server
	return nil
}

// resume is what POST /resume does.
func (a *App) resume(who string) telemetry.Resumption {
	was, resumed := a.answers.Resume(who)
	return telemetry.Resumption{Instance: a.cfg.Instance, Resumed: resumed, Was: was}
}

// Sources give snapshots of the running parts.
func (a *App) Sources() telemetry.Sources {
	return telemetry.Sources{
		Consumer: a.consumer.Status, Producer: a.writing.Status, CMS: a.cms.Status, Budget: a.answers.Budget,
		Keys: a.keys.Status, CallsSaved: a.answers.CallsSaved, Handlers: a.handlers, AskKafka: a.probe.Ask,
	}
}

// HTTPAddr is the address of the HTTP server; "" without one.
func (a *App) HTTPAddr() string {
	if a.server == nil {
		return ""
	}
	return a.server.Addr()
}
