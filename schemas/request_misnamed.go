package schemas

import "github.com/agnivade/levenshtein"

const (
	maxMisnamed = 32 // bytes of a name that may be meant for a request's
	maxTypos    = 2  // letters that differ
)

// missed are the names that stand where contractId or balanceCodes is missed, and what tells that the request is in an
// envelope.
type missed struct {
	contractID, balanceCodes misnamed
	specversion, data        bool
}

// misnamed is the name that is most like the one missed; away is by how many letters it differs.
type misnamed struct {
	name string
	away int
}

// unknown looks at a member that a request does not have. Where both names that must be there have been read, it has
// nothing to do.
func (r *requestReader) unknown(name []byte) {
	if r.gotID && r.gotCodes || len(name) > maxMisnamed {
		return
	}
	switch string(name) {
	case "specversion":
		r.missed.specversion = true
		return
	case "data", "data_base64":
		r.missed.data = true
		return
	}
	var room [maxMisnamed]byte
	folded := fold(room[:0], name)
	if !r.gotID {
		r.missed.contractID.consider(name, folded, "contractid", "contract")
	}
	if !r.gotCodes {
		r.missed.balanceCodes.consider(name, folded, "balancecodes", "codes")
	}
}

// consider keeps name if it is more like the one meant, or its short form, than what was there before it. Only a name
// that is kept is copied.
func (m *misnamed) consider(name, folded []byte, meant, short string) {
	away := maxTypos + 1
	if string(folded) != short {
		// A difference in length is one in letters, and cheaper to see.
		if n := len(folded) - len(meant); n > maxTypos || n < -maxTypos {
			return
		}
		if away = levenshtein.ComputeDistance(string(folded), meant); away > maxTypos {
			return
		}
	}
	if m.name == "" || away < m.away {
		*m = misnamed{string(name), away}
	}
}

// fold appends name without what people mix up first: case, and what stands between words.
func fold(dst, name []byte) []byte {
	for _, c := range name {
		switch {
		case 'A' <= c && c <= 'Z':
			dst = append(dst, c|0x20)
		case c != '_' && c != '-' && c != '.' && c != ' ':
			dst = append(dst, c)
		}
	}
	return dst
}

// inEnvelope reports whether a value that was read as a plain request is a structured event, whose record does not say
// so. It is refused, not guessed at: the binding makes the content type the only mark of the mode, and whatever else
// reads the topic takes it at its word.
func (r *requestReader) inEnvelope() bool {
	return r.err == nil && !r.gotID && !r.gotCodes && r.missed.specversion && r.missed.data
}
