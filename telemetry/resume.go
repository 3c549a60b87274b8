package telemetry

import "net/http"

// OperatorHeader names who resumes. A web page of another site cannot set a header of its own without asking (CORS, Fetch
// Standard 4.8), and is never allowed to.
const OperatorHeader = "X-Balanceq-Operator"

// maxOperator bounds the name, in bytes.
const maxOperator = 128

// Resumption is the answer to POST /resume.
type Resumption struct {
	Instance string `json:"instance"`
	Resumed  bool   `json:"resumed"` // false: there was nothing to resume
	Was      string `json:"was"`     // why it was paused, or that it was not
}

// resumeHandler lets an operator resume, but no web page in an operator's browser: browsers say in each POST where it comes
// from, by Origin or Sec-Fetch-Site, and none comes from a page of ours, as there is none. That also holds against a name
// that is made to point here (DNS rebinding), where page and target are the same site.
func resumeHandler(resume func(who string) Resumption) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get(OperatorHeader)
		switch {
		case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
			http.Error(w, "this comes from a web page; use balanceq resume", http.StatusForbidden)
		case !isOperator(who):
			http.Error(w, OperatorHeader+": name who resumes, in 1 to 128 printable ASCII characters; balanceq resume does that",
				http.StatusForbidden)
		default:
			writeJSON(w, true, resume(who))
		}
	}
}

func isOperator(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return name != "" && len(name) <= maxOperator
}
