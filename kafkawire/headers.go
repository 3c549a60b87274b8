package kafkawire

// headerRoom makes the headers of a batch with few allocations: its records mostly have the same names.
type headerRoom struct {
	names   map[string]string
	free    []Header
	records int // that are still to come
	cost    int // bytes of memory since spent
}

const (
	maxHeaderNames = 64
	maxHeaderBlock = 256
)

// take returns room for n headers, for one record.
func (h *headerRoom) take(n int) []Header {
	if n > len(h.free) {
		h.free = make([]Header, max(n, min(n*max(h.records, 1), maxHeaderBlock))) // the others will have as many
		h.cost += len(h.free) * headerMemory
	}
	taken := h.free[:n:n]
	h.free = h.free[n:]
	return taken
}

func (h *headerRoom) name(b []byte) string {
	if name, known := h.names[string(b)]; known { // without an allocation
		return name
	}
	name := string(b)
	h.cost += len(name)
	if len(h.names) < maxHeaderNames {
		h.names[name] = name
	}
	return name
}

// spent returns the memory that was taken since it was last called.
func (h *headerRoom) spent() int {
	n := h.cost
	h.cost = 0
	return n
}
