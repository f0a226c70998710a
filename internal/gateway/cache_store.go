package gateway

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"hash/maphash"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// answerCache keeps answers by name, up to a number of bytes. Reading takes no lock; what
// goes first is what was not read since the last time around (second chance, which is
// close to least recently used).
type answerCache struct {
	seed    maphash.Seed
	buckets []atomic.Pointer[kept]
	seal    cipher.AEAD // of entries that are to be encrypted, by a key of this process
	random  io.Reader

	mu    sync.Mutex // of everything below, and of every change to the buckets
	max   int64
	size  int64
	queue []*kept // in the order of coming; from head on
	head  int
}

// kept is an answer. It does not change but for its place in its bucket.
type kept struct {
	hash    uint64
	key     string
	expires int64 // Unix nanoseconds
	status  int
	trace   bool
	fields  []Field
	body    []byte
	sealed  bool // body is fields and body, encrypted
	gone    bool
	used    atomic.Bool
	next    atomic.Pointer[kept]
}

// keptOverhead is about what an entry takes beside its bytes.
const keptOverhead = 256

func (e *kept) cost() int64 {
	n := keptOverhead + len(e.key) + len(e.body)
	for _, f := range e.fields {
		n += 32 + len(f.Name) + len(f.Value)
	}
	return int64(n)
}

func newAnswerCache(limit int64, random io.Reader) *answerCache {
	n := 1 << 10
	for int64(n) < limit>>13 && n < 1<<18 {
		n <<= 1
	}
	c := &answerCache{seed: maphash.MakeSeed(), buckets: make([]atomic.Pointer[kept], n), random: random, max: limit}
	block, err := aes.NewCipher(secretOr(nil, random))
	if err == nil {
		c.seal, err = cipher.NewGCM(block)
	}
	if err != nil {
		panic("gateway: no cipher: " + err.Error())
	}
	return c
}

func (c *answerCache) bucket(hash uint64) *atomic.Pointer[kept] {
	return &c.buckets[hash&uint64(len(c.buckets)-1)]
}

// get finds an answer that has not expired.
func (c *answerCache) get(key []byte, now time.Time) *kept {
	hash := maphash.Bytes(c.seed, key)
	for e := c.bucket(hash).Load(); e != nil; e = e.next.Load() {
		if e.hash == hash && e.key == string(key) {
			if now.UnixNano() >= e.expires {
				return nil
			}
			if !e.used.Load() {
				e.used.Store(true)
			}
			return e
		}
	}
	return nil
}

// open fills a reply with an answer; false means that it cannot be read.
func (c *answerCache) open(e *kept, r *reply) bool {
	fields, body := e.fields, e.body
	if e.sealed {
		n := c.seal.NonceSize()
		plain, err := c.seal.Open(nil, e.body[:n], e.body[n:], []byte(e.key))
		if err != nil {
			return false
		}
		fields, body = unpackAnswer(plain)
	}
	r.status, r.trace, r.body = e.status, e.trace, body
	r.fields = append(r.fields, fields...)
	return true
}

// put keeps an answer in place of the one before. It copies what it is given.
func (c *answerCache) put(key []byte, r *reply, body []byte, sealed bool, expires, now time.Time) {
	e := &kept{hash: maphash.Bytes(c.seed, key), key: string(key), expires: expires.UnixNano(), status: r.status, trace: r.trace, sealed: sealed}
	if sealed {
		nonce := make([]byte, c.seal.NonceSize(), c.seal.NonceSize()+len(body)+1024)
		if _, err := io.ReadFull(c.random, nonce); err != nil {
			return
		}
		e.body = c.seal.Seal(nonce, nonce, packAnswer(r.fields, body), key)
	} else {
		e.body = bytes.Clone(body)
		e.fields = make([]Field, len(r.fields))
		for i, f := range r.fields {
			e.fields[i] = Field{strings.Clone(f.Name), strings.Clone(f.Value)}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.cost() > c.max {
		return
	}
	at := c.bucket(e.hash)
	for old := at.Load(); old != nil; old = old.next.Load() {
		if old.hash == e.hash && old.key == e.key {
			c.unlink(old)
			break
		}
	}
	e.next.Store(at.Load())
	at.Store(e)
	c.size += e.cost()
	c.queue = append(c.queue, e)
	c.evict(now)
}

// unlink takes an entry out of its bucket. Readers that stand on it go on from there.
func (c *answerCache) unlink(e *kept) {
	if e.gone {
		return
	}
	e.gone = true
	c.size -= e.cost()
	at := c.bucket(e.hash)
	if at.Load() == e {
		at.Store(e.next.Load())
		return
	}
	for p := at.Load(); p != nil; p = p.next.Load() {
		if p.next.Load() == e {
			p.next.Store(e.next.Load())
			return
		}
	}
}

// evict makes room, and clears away what has expired where it comes by.
func (c *answerCache) evict(now time.Time) {
	for c.head < len(c.queue) {
		e := c.queue[c.head]
		expired := e.expires <= now.UnixNano()
		if !e.gone && !expired && c.size <= c.max {
			break
		}
		c.queue[c.head] = nil
		c.head++
		switch {
		case e.gone:
		case !expired && e.used.Swap(false):
			c.queue = append(c.queue, e)
		default:
			c.unlink(e)
		}
	}
	if c.head > 1024 && c.head > len(c.queue)/2 {
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
}

// packAnswer writes fields and body as one text.
func packAnswer(fields []Field, body []byte) []byte {
	b := binary.AppendUvarint(nil, uint64(len(fields)))
	for _, f := range fields {
		b = appendPart(appendPart(b, f.Name), f.Value)
	}
	return append(b, body...)
}

// unpackAnswer reads what packAnswer wrote; nobody else can have written it.
func unpackAnswer(b []byte) ([]Field, []byte) {
	number := func() int {
		n, size := binary.Uvarint(b)
		b = b[size:]
		return int(n)
	}
	text := func() string {
		n := number()
		s := string(b[:n])
		b = b[n:]
		return s
	}
	fields := make([]Field, number())
	for i := range fields {
		fields[i].Name = text()
		fields[i].Value = text()
	}
	return fields, b
}
