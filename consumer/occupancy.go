package consumer

import "context"

// occupancy is how many records of one partition are counted as what: the same as room counts over all of them.
type occupancy struct{ started, parked, ahead, due int }

// awaitRoom waits until another record may be started, and counts it in the room.
func (p *partition) awaitRoom(ctx context.Context) bool {
	r, counted := p.consumer.room, false
	defer func() {
		if counted {
			r.starved.Add(-1)
		}
	}()
	for ctx.Err() == nil {
		if !p.metadataFull.Load() && !p.commitRefused.Load() {
			ok, starved := r.take(p.occupancy()) // only dispatch starts records of it, so there can only be fewer
			if ok {
				return true
			}
			if starved && !counted {
				counted = true
				r.starved.Add(1)
				continue
			}
			if !starved && counted {
				counted = false
				r.starved.Add(-1)
			}
		}
		select {
		case <-ctx.Done():
		case <-p.mayStart:
		}
	}
	return false
}

// wake has dispatch look again whether there is room.
func (p *partition) wake() {
	p.mayStart.Set()
}

// count changes what the partition has in the room.
func (p *partition) count(change occupancy) {
	p.mu.Lock()
	counts := p.change(change)
	p.mu.Unlock()
	if counts {
		p.consumer.room.add(change)
	}
}

// change is count for the partition alone, and says whether the room is to be told of it: not when forfeit has. It
// requires mu.
func (p *partition) change(c occupancy) bool {
	p.has = occupancy{p.has.started + c.started, p.has.parked + c.parked, p.has.ahead + c.ahead, p.has.due + c.due}
	return !p.forfeited
}

// occupancy returns what the partition has in the room. A fenced one waits for none of it.
func (p *partition) occupancy() occupancy {
	if p.revoked.Load() {
		return occupancy{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.has
}

// unfinished returns how many records have been started and have no outcome, without those that leave has left to the
// next owner. A fenced partition waits for none.
func (p *partition) unfinished() int {
	has := p.occupancy()
	return has.started + has.parked
}

// setAside notes that the handlers of so many more of its records have stepped aside.
func (p *partition) setAside(change int) {
	p.mu.Lock()
	p.aside += change
	p.mu.Unlock()
}

// busy returns how many unfinished records somebody works on: no handler that has stepped aside.
func (p *partition) busy() int {
	p.mu.Lock()
	aside := p.aside
	p.mu.Unlock()
	return p.unfinished() - aside
}

// forfeit counts what was started and is not finished out of the room, and returns how many records that were, and how
// many leave has left. The partition is another owner's then, and dispatch of others must not wait for what may never
// finish here.
func (p *partition) forfeit() (unfinished, left int) {
	p.mu.Lock()
	p.forfeited = true
	has, left := p.has, p.left
	p.mu.Unlock()
	p.consumer.room.add(occupancy{-has.started, -has.parked, -has.ahead, -has.due})
	return has.started + has.parked, left
}
