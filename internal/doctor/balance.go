package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/balanceq/balanceq/cmsclient"
	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/connect"
	"github.com/balanceq/balanceq/internal/finding"
	"github.com/balanceq/balanceq/schemas"
)

// checkBalance asks the CMS as run does, with the same code and settings. It passes when the CMS itself answers, be it
// that there is no such contract.
func checkBalance(ctx context.Context, cfg config.Config, version string, q cmsclient.Query) []finding.Finding {
	settings, _, err := connect.CMS(cfg, version)
	if err != nil {
		return failed(err, "correct cms.auth, cms.decryption and cms.tls")
	}
	settings.HedgeAfter = 0 // one call, whatever it takes
	client, err := cmsclient.New(settings)
	if err != nil {
		return fail(err.Error(), "correct the configuration")
	}
	defer client.Close()
	call, err := client.Admit(ctx)
	if err != nil {
		return fail(err.Error(), "try again")
	}
	defer call.Release()
	began := time.Now()
	answer, err := call.Get(ctx, q)
	took := time.Since(began)

	if err == nil {
		return ok(fmt.Sprintf("%d of %d balances of contract %s\n%s", len(answer.Balances), len(q.Codes),
			schemas.MaskID(q.ContractID),
			trace(took, q.CorrelationID, answer.CMSCorrelationID)))
	}
	refused, ok := errors.AsType[*cmsclient.Error](err)
	if !ok {
		return fail(err.Error(), "try again")
	}
	return explainRefusal(refused, trace(took, q.CorrelationID, refused.CMSCorrelationID))
}

// explainRefusal takes an answer about the contract or the codes as proof that everything works.
func explainRefusal(e *cmsclient.Error, trace string) []finding.Finding {
	cause, fix := *e, e.Fix
	cause.Fix = ""
	detail := strings.TrimPrefix(cause.Error(), "cms: ") + "\n" + trace
	switch e.Class {
	case cmsclient.ContractNotFound, cmsclient.Rejected:
		return ok("the CMS itself answers: " + detail)
	case cmsclient.Throttled:
		fix = "try again later; if it stays, too many calls are made with these keys: cms.rate and cms.daily-quota limit them"
	case cmsclient.Undecodable:
		fix = "check that cms.url is the address of the CMS, and cms.max-response-bytes"
	case cmsclient.Transient:
		fix = "try again; if it stays, ask the CMS's operator about the call by its correlation ids"
	case cmsclient.Halting, cmsclient.Undecryptable: // these come with their fix
	}
	return fail(detail, fix)
}

// trace is what the CMS's operator needs to find the call: both sides' correlation ids.
func trace(took time.Duration, sent, received string) string {
	return fmt.Sprintf("in %s, Correlation-Id %s, X-MC-Correlation-ID %s", milliseconds(took), sent,
		cmp.Or(received, "none"))
}
