package preflight

import (
	"fmt"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

// spareFiles are for all but the calls to the CMS: connections to brokers and to the HTTP ports, what the runtime has
// open.
const spareFiles = 256

// CheckFiles holds what connections to the CMS need against the limit of open files. Where there are too few, calls
// would fail for a reason that is neither the CMS's nor the request's, and connections to Kafka with them.
func CheckFiles(cfg config.Config) []finding.Finding {
	limit, known := openFiles()
	return checkFiles(cfg, limit, known)
}

func checkFiles(cfg config.Config, limit uint64, known bool) []finding.Finding {
	calls := uint64(max(0, cfg.CMS.MaxInFlight))
	hedged := uint64(1)
	if cfg.CMS.HedgeAfter > 0 {
		hedged = 2 // the second call has a connection of its own
	}
	needed := calls*hedged + spareFiles
	if !known || needed <= limit {
		return nil
	}
	fix := fmt.Sprintf("raise that to %d or more (ulimit -n, LimitNOFILE= of systemd, ulimits of the container)", needed)
	if limit > spareFiles {
		fix += fmt.Sprintf(", or set it to %d", (limit-spareFiles)/hedged)
	}
	return []finding.Finding{{
		Key: "cms.max-in-flight", Severity: finding.Fail, Fix: fix,
		What: fmt.Sprintf("%d calls at a time may need %d open files, a connection each and %d for all else, and this "+
			"process may have %d", calls, needed, spareFiles, limit),
	}}
}
