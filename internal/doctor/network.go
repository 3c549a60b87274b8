package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
)

func checkDNS(ctx context.Context, cfg config.Config) []finding.Finding {
	h, err := connect.FirstHop(cfg.CMS)
	if err != nil {
		return failed(err, "correct the address")
	}
	if net.ParseIP(h.Host) != nil {
		return ok(h.String() + " is an address")
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, h.Host)
	if err == nil && len(addresses) == 0 {
		err = errors.New("no such host")
	}
	if err != nil {
		return fail(fmt.Sprintf("%s: %v", h, err), h.Fix())
	}
	return ok(fmt.Sprintf("%s: %s", h, strings.Join(addresses, ", ")))
}

func checkTCP(ctx context.Context, cfg config.Config) []finding.Finding {
	h, err := connect.FirstHop(cfg.CMS)
	if err != nil {
		return failed(err, "correct the address")
	}
	began := time.Now()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.Address())
	if err != nil {
		return fail(fmt.Sprintf("%s: %v", h, err), h.Fix())
	}
	took := time.Since(began)
	remote := conn.RemoteAddr()
	_ = conn.Close() // only whether it opens matters
	return ok(fmt.Sprintf("%s: connected to %s in %s", h, remote, milliseconds(took)))
}

func milliseconds(d time.Duration) string {
	if d < time.Millisecond {
		return "less than 1 ms"
	}
	return fmt.Sprintf("%d ms", d.Milliseconds())
}
