package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// suggested is what a shell is told that could come last, without descriptions, and with cobra's directive.
func suggested(t *testing.T, args ...string) (words []string, directive string) {
	t.Helper()
	var out, errOut bytes.Buffer
	if code := Execute(t.Context(), append([]string{"__completeNoDesc"}, args...), nil, &out, &errOut); code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, errOut.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[:len(lines)-1], lines[len(lines)-1]
}

// Shells complete what there is to choose from, files where one is named, and offer files nowhere else.
func TestCompletion(t *testing.T) {
	const words, listed, files, yaml = ":4", ":6", ":0", ":8"
	for text, test := range map[string]struct {
		want      string // "…": more than that
		directive string
	}{
		"config ":                             {"check …", words},
		"run --kafka.group-protocol ":         {"auto classic consumer", words},
		"run --kafka.start ":                  {"earliest latest", words},
		"run --log.level=":                    {"trace debug info warn error", words},
		"run --kafka.tls.enabled=":            {"true false", words},
		"run --kafka.group ":                  {"", words},
		"run ":                                {"", words},
		"run --kafka.group-pro":               {"--kafka.group-protocol", words},
		"run --config ":                       {"yaml yml", yaml},
		"run --cms.auth.key-file ":            {"", files},
		"run --cms.decryption.key-files ":     {"", files},
		"request --file ":                     {"", files},
		"request --output ":                   {"text json", words},
		"resume --ca-file ":                   {"", files},
		"deadletters list --by ":              {"reason status cms-reason contract time", words},
		"deadletters replay --canary ":        {"on off", words},
		"deadletters list --reason expired,c": {"expired,contract-not-found", listed},
		"acls --for run,request,re":           {"run,request,results run,request,replay", listed},
		"acls --principal ":                   {"", words},
	} {
		args := strings.Split(text, " ")
		got, directive := suggested(t, args...)
		want := strings.Fields(test.want)
		if n := len(want); n > 0 && want[n-1] == "…" && len(got) >= n {
			got, want = got[:n-1], want[:n-1]
		}
		if slices.Sort(got); directive != test.directive || !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%q: %q %s, want %q %s", text, got, directive, want, test.directive)
		}
	}
}

// The help shows what is typed: no =true, no number that stands for nothing.
func TestHelpReadsAsTyped(t *testing.T) {
	for _, command := range []string{"request", "deadletters list", "deadletters replay", "deadletters show", "skip",
		"run"} {
		var out, errOut bytes.Buffer
		Execute(t.Context(), append(strings.Fields(command), "--help"), nil, &out, &errOut)
		for _, odd := range []string{"[=true", "(default -1)"} {
			if strings.Contains(out.String(), odd) || out.Len() == 0 {
				t.Errorf("%s: %s in\n%s", command, odd, out.String())
			}
		}
	}
}
