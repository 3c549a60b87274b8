package app

import (
	"context"

	"github.com/balanceq/balanceq/consumer"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/preflight"
	"github.com/balanceq/balanceq/internal/registry"
	"github.com/balanceq/balanceq/schemas"
)

// resultSchema is the id that results are framed with. It is had once: ids are immutable.
func (a *App) resultSchema(ctx context.Context, version string) (uint32, error) {
	client, err := a.keys.Registry(a.cfg.Registry, a.cfg.Results.Registry.URLs, version)
	if err != nil {
		return 0, err
	}
	id, err := client.ID(ctx, a.cfg.ResultSubject(), schemas.ResultSchema(), a.cfg.Results.Registry.AutoRegister)
	if err != nil {
		return 0, finding.Failed("results.registry.url", err, preflight.RegistryFix(err, a.cfg.ResultSubject()))
	}
	a.log.Info().Uint32("schema_id", id).Str("subject", a.cfg.ResultSubject()).
		Msg("results are framed for the schema registry")
	return id, nil
}

// frames is what checks the schema ids of requests; nil: nothing does.
func (a *App) frames(version string) (consumer.Frames, error) {
	if len(a.cfg.Requests.Registry.URLs) == 0 {
		return nil, nil //nolint:nilnil // both are answers: no check, no error
	}
	client, err := a.keys.Registry(a.cfg.Registry, a.cfg.Requests.Registry.URLs, version)
	if err != nil {
		return nil, err
	}
	return registry.NewChecker(client, a.cfg.RequestSubjects(), a.log, a.metrics.SchemaIDUnchecked), nil
}
