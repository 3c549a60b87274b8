package preflight

import (
	"strings"
	"testing"
	"time"

	"github.com/balanceq/balanceq/internal/config"
	"github.com/balanceq/balanceq/internal/finding"
)

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		calls int
		hedge time.Duration
		limit uint64
		want  string // of the fix; "": nothing is wrong
	}{
		"enough":             {calls: 256, limit: 1024},
		"just enough":        {calls: 768, limit: 1024},
		"one too few":        {calls: 769, limit: 1024, want: "raise that to 1025 or more (ulimit -n, LimitNOFILE="},
		"what would do":      {calls: 10_000, limit: 4096, want: "or set it to 3840"},
		"hedged":             {calls: 500, hedge: time.Second, limit: 1024, want: "raise that to 1256"},
		"what would, hedged": {calls: 500, hedge: time.Second, limit: 1024, want: "or set it to 384"},
		"hardly any":         {calls: 1, limit: 64, want: "raise that to 257"},
		"a broken setting":   {calls: -1, limit: 1024},
	} {
		var cfg config.Config
		cfg.CMS.MaxInFlight, cfg.CMS.HedgeAfter = test.calls, test.hedge
		found := checkFiles(cfg, test.limit, true)
		if test.want == "" {
			if len(found) > 0 {
				t.Errorf("%s: %v", name, found)
			}
			continue
		}
		if len(found) != 1 || found[0].Severity != finding.Fail || !strings.Contains(found[0].String(), test.want) ||
			!strings.HasPrefix(found[0].Text(), "cms.max-in-flight: ") {
			t.Errorf("%s: %v, want %s", name, found, test.want)
		}
		if found := checkFiles(cfg, 0, false); len(found) > 0 {
			t.Errorf("%s, on a system without a limit: %v", name, found)
		}
	}
	if limit, known := openFiles(); known && limit < 64 {
		t.Errorf("the limit is %d", limit)
	}
}
