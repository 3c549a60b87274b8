package preflight

import (
	"context"
	"fmt"
	"net"

	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
)

// checkCMS tries the CMS's address, or that of the proxy on the way there. A CMS that is down is no reason not to
// start: the breaker waits for it.
func checkCMS(ctx context.Context, c *Cluster) ([]finding.Finding, error) {
	hop, err := connect.FirstHop(c.cfg.CMS)
	if err != nil {
		return finding.Of(err), nil
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", hop.Address())
	if err != nil {
		what := "the CMS"
		if hop.Proxy {
			what = "the proxy on the way to the CMS"
		}
		return []finding.Finding{{
			Severity: finding.Warn,
			What:     fmt.Sprintf("%s at %s cannot be reached at the moment: %v", what, hop.Address(), err),
			Fix:      hop.Fix() + ", unless it is known to be down: requests wait until the CMS answers",
		}}, nil
	}
	_ = conn.Close() // only whether it opens matters
	return nil, nil
}
