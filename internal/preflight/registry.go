package preflight

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/internal/registry"
	"github.com/balanceq/balanceq/schemas"
)

func checkRegistry(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
	return CheckRegistry(ctx, c.cfg), nil
}

// CheckRegistry asks the schema registries that the configuration names, and registers nothing. Without the id of their
// schema results cannot be framed, so a registry for them that is away is waited for; without one for requests these
// are not checked, which holds up nothing.
func CheckRegistry(ctx context.Context, cfg config.Config) (found []finding.Finding) {
	if len(cfg.Results.Registry.URLs) > 0 {
		found = append(found, checkResultSchema(ctx, cfg))
	}
	if len(cfg.Requests.Registry.URLs) > 0 {
		found = append(found, checkRequestSubjects(ctx, cfg))
	}
	return found
}

func checkResultSchema(ctx context.Context, cfg config.Config) finding.Finding {
	f := finding.Finding{Key: "results.registry.url", Severity: finding.Fail}
	client, err := connect.Registry(cfg.Registry, cfg.Results.Registry.URLs, "preflight")
	if err != nil {
		return finding.Of(err)[0]
	}
	id, err := client.ID(ctx, cfg.ResultSubject(), schemas.ResultSchema(), false)
	refused, is := errors.AsType[*registry.Error](err)
	switch {
	case err == nil:
		f.Severity, f.What = finding.OK, fmt.Sprintf("results are framed as schema id %d, of %s", id, cfg.ResultSubject())
	case is && refused.NotFound() && cfg.Results.Registry.AutoRegister:
		f.Severity, f.What = finding.OK, "the schema of results is registered at the start, as "+cfg.ResultSubject()
	default:
		f.What, f.Fix, f.Passing = err.Error(), RegistryFix(err, cfg.ResultSubject()), is && refused.Away()
	}
	return f
}

func checkRequestSubjects(ctx context.Context, cfg config.Config) finding.Finding {
	f := finding.Finding{Key: "requests.registry.url", Severity: finding.Warn}
	client, err := connect.Registry(cfg.Registry, cfg.Requests.Registry.URLs, "preflight")
	if err != nil {
		return finding.Of(err)[0]
	}
	subjects := strings.Join(cfg.RequestSubjects(), ", ")
	has, err := client.Has(ctx, cfg.RequestSubjects())
	refused, is := errors.AsType[*registry.Error](err)
	switch {
	case has:
		f.Severity, f.What = finding.OK, "requests may have the schemas of "+subjects
	case err == nil:
		f.What = "the schema registry knows none of " + subjects + ", so the schema ids of requests are not checked"
		f.Fix = "register the schema of requests there, or correct requests.registry.subjects"
	default:
		f.What, f.Fix = err.Error(), RegistryFix(err, subjects)
		if is && refused.Denied() {
			f.Severity = finding.Fail
		}
	}
	return f
}

// RegistryFix is what to do about an error of asking a schema registry.
func RegistryFix(err error, subject string) string {
	refused, is := errors.AsType[*registry.Error](err)
	switch {
	case is && refused.NotFound():
		return "register schemas/v1/balance-result.schema.json of this release as " + subject +
			", or set results.registry.auto-register to true"
	case is && refused.Denied():
		return "correct schema-registry.username and schema-registry.password-file, or schema-registry.token-file, or " +
			"give that user the right to read " + subject
	case is && refused.Certificate():
		return "set schema-registry.cert-file and schema-registry.key-file to a certificate that the registry takes"
	case is && !refused.Final():
		return "check the address, with the path of Confluent's API, and schema-registry.ca-file; or start the registry"
	}
	return "read what the registry's log says of " + subject
}
