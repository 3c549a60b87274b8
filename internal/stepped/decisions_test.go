package stepped

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wall matches what takes the monotonic reading off a time. What is compared afterwards is the wall clock, which is
// stepped.
var wall = regexp.MustCompile(`\.(Unix|UnixMilli|UnixMicro|UnixNano|Truncate|UTC|Local|In)\(|\.Round\(0\)`)

// allowed is where the wall clock is meant, or nothing is compared.
var allowed = map[string]string{
	"cmsclient/failures.go":       "what is shown of a failing CMS",
	"consumer/tracker.go":         "the time of a record, which is a publisher's or a broker's",
	"telemetry/requests.go":       "the times of records, for a label of a metric",
	"telemetry/snapshot.go":       "a metric's seconds",
	"telemetry/status.go":         "what /status shows",
	"cmsclient/pace.go":           "startOfDay: a quota's day is a UTC day",
	"telemetry/stall.go":          "marks: compared for equality with another reading of the same time",
	"telemetry/stall_handlers.go": "marks, as in stall.go",
	"internal/connect/kafka.go":   "kafka.start: compared by brokers with the times of records",
	"cmsclient/oauth1/oauth1.go":  "a signature's time stamp",
}

// Decisions compare times by their monotonic readings.
func TestDecisionsKeepTheMonotonicReading(t *testing.T) {
	seen := map[string]bool{}
	for _, dir := range []string{
		"cmsclient", "cmsclient/oauth1", "processor", "consumer", "consumer/group", "producer", "telemetry",
		"internal/app", "internal/connect", "internal/preflight",
	} {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", dir, len(files), err)
		}
		for _, file := range files {
			name := dir + "/" + filepath.Base(file)
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(string(text), "\n") {
				code, _, _ := strings.Cut(line, "//")
				code = strings.ReplaceAll(code, ".UTC().Format(", "") // a text
				if !wall.MatchString(code) || strings.Contains(code, "time.Unix") || strings.Contains(code, "math.") {
					continue
				}
				seen[name] = true
				if allowed[name] == "" {
					t.Errorf("%s:%d drops a monotonic reading: %s", name, i+1, strings.TrimSpace(line))
				}
			}
		}
	}
	for name := range allowed {
		if !seen[name] {
			t.Errorf("%s: nothing drops a monotonic reading there any more", name)
		}
	}
}
