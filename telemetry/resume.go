package telemetry

import "net/http"

// OperatorHeader names who resumes. A web page of another site cannot set a header of its own without asking (CORS,
// Fetch Standard 4.8), and is never allowed to.
const OperatorHeader = "X-Balanceq-Operator"

// maxOperator bounds the name, in bytes.
const maxOperator = 128

// Resumption is the answer to POST /resume.
type Resumption struct {
	Instance string `json:"instance"`
	Resumed  bool   `json:"resumed"` // false: there was nothing to resume
	Was      string `json:"was"`     // why it was paused, or that it was not
}

// resumeHandler lets an operator resume. No web page gets as far as this: see fromPage.
func resumeHandler(resume func(who string) Resumption) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get(OperatorHeader)
		if !isOperator(who) {
			http.Error(w, OperatorHeader+": name who resumes, in 1 to 128 printable ASCII characters; balanceq resume does that",
				http.StatusForbidden)
			return
		}
		writeJSON(w, true, resume(who))
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
