package trail

import (
	"sync"
	"time"

	"moat/internal/wire"
)

// Bounds of what waits to be written, in records and in the bytes of their messages.
const (
	maxQueued      = 16384
	maxQueuedBytes = 64 << 20
)

// queue holds records until they are written. Who adds one pays an append. When it is full, he
// waits for room: a caller is slowed down before his record is lost. After [queue.patience] the
// record is counted as lost, and the chain says so.
type queue struct {
	patience time.Duration
	some     chan struct{} // has an element while there is something to write

	mu      sync.Mutex
	records []wire.Record
	spare   []wire.Record // an empty one, to fill next
	bytes   int64
	lost    int64
	room    chan struct{} // closed when there is room again; nil when nobody waits
}

func newQueue(patience time.Duration) *queue {
	return &queue{patience: patience, some: make(chan struct{}, 1)}
}

func (q *queue) put(r wire.Record) {
	q.mu.Lock()
	if len(q.records) >= maxQueued || q.bytes >= maxQueuedBytes {
		if !q.wait() {
			q.lost++
			q.mu.Unlock()
			return
		}
	}
	q.records = append(q.records, r)
	q.bytes += r.BytesIn
	first := len(q.records) == 1
	q.mu.Unlock()
	if first {
		select {
		case q.some <- struct{}{}:
		default:
		}
	}
}

// wait returns with the lock when there is room, or says that there was none for too long.
func (q *queue) wait() bool {
	timer := time.NewTimer(q.patience)
	defer timer.Stop()
	for len(q.records) >= maxQueued || q.bytes >= maxQueuedBytes {
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
			q.mu.Lock()
		case <-timer.C:
			q.mu.Lock()
			return len(q.records) < maxQueued && q.bytes < maxQueuedBytes
		}
	}
	return true
}

// take empties the queue.
func (q *queue) take() (records []wire.Record, lost int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	records, lost = q.records, q.lost
	q.records, q.spare, q.bytes, q.lost = q.spare, nil, 0, 0
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
	return records, lost
}

// maxSpare bounds the memory that is kept between two takes.
const maxSpare = 4096

// done gives records back that take gave, for their memory.
func (q *queue) done(records []wire.Record) {
	if cap(records) > maxSpare {
		return
	}
	clear(records) // nothing of a message stays
	q.mu.Lock()
	q.spare = records[:0]
	q.mu.Unlock()
}
