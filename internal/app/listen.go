package app

import (
	"fmt"
	"os"
	"slices"

	"github.com/balanceq/balanceq/telemetry"
)

// listen binds both HTTP servers: the one that tells anybody, and the one that acts, whose address the other names.
func (a *App) listen(about telemetry.About) error {
	access, err := a.keys.Admin(a.cfg.HTTP)
	if err != nil {
		return err
	}
	hosts := telemetry.Hosts{Names: a.cfg.HTTP.AllowedHosts, Setting: "http.allowed-hosts"}
	if name, err := os.Hostname(); err == nil { // a host without a name is asked for by its address
		hosts.Names = append(slices.Clone(hosts.Names), name)
	}
	url := ""
	if address := a.cfg.HTTP.Admin; address != "" {
		admin := telemetry.Admin{Hosts: hosts, Token: access.Token, Resume: a.resume}
		if a.admin, err = telemetry.Listen(address, admin.Handler(), access.TLS, a.log); err != nil {
			return fmt.Errorf("http.admin: %w; choose another address, or off to serve nothing that acts", err)
		}
		url = a.admin.URL()
	}
	if address := a.cfg.HTTP.Listen; address != "" {
		probes := telemetry.Probes{
			Hosts: hosts, Metrics: a.registry, Sources: a.Sources(), Watchdog: a.watchdog, About: about,
			Admin: url, Setting: "http.admin",
		}
		if a.probes, err = telemetry.Listen(address, probes.Handler(), nil, a.log); err != nil {
			return fmt.Errorf("http.listen: %w; choose another address, or off to serve nothing", err)
		}
	}
	return nil
}

// servers are the HTTP servers that listen.
func (a *App) servers() []*telemetry.Server {
	return slices.DeleteFunc([]*telemetry.Server{a.probes, a.admin}, func(s *telemetry.Server) bool { return s == nil })
}

// resume is what POST /resume does.
func (a *App) resume(who string) telemetry.Resumption {
	was, resumed := a.answers.Resume(who)
	return telemetry.Resumption{Instance: a.cfg.Instance, Resumed: resumed, Was: was}
}

// HTTPAddr is the address of probes and metrics; "" where they are off.
func (a *App) HTTPAddr() string { return address(a.probes) }

// AdminAddr is the address of what acts; "" where that is off.
func (a *App) AdminAddr() string { return address(a.admin) }

func address(s *telemetry.Server) string {
	if s == nil {
		return ""
	}
	return s.Addr()
}
