package gateway

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"sync"

	"moat/internal/http1"
)

const (
	// maxBody is API Gateway's limit of a payload.
	maxBody = 10 << 20
	// maxFields is API Gateway's limit of a header: "total combined size of all header values,
	// including header names, values, any line terminators, and whitespaces" (Quotas for REST APIs).
	maxFields = 10240
	// smallBody is held in memory by everybody. What is longer counts as room that all share,
	// or is passed on as it comes.
	smallBody = 64 << 10
	maxRoomed = 512 << 20
	maxShare  = maxRoomed / 4 // of one address
)

// room is what longer bodies, and answers that are held, take of memory, all together and those of one address: who sends
// many of them slowly must not hold it all.
type room struct {
	mu     sync.Mutex
	taken  int64
	shares map[netip.Addr]int64
}

// errNoRoom says that bodies take all the memory that they may.
var errNoRoom = errors.New("gateway: no room for a body")

// take takes n bytes for a client.
func (r *room) take(ip string, n int64) bool {
	key := shareOf(ip)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken+n > maxRoomed || key.IsValid() && r.shares[key]+n > maxShare {
		return false
	}
	r.taken += n
	if key.IsValid() {
		if r.shares == nil {
			r.shares = map[netip.Addr]int64{}
		}
		r.shares[key] += n
	}
	return true
}

// give gives back what take took.
func (r *room) give(ip string, n int64) {
	key := shareOf(ip)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken -= n
	if key.IsValid() {
		if r.shares[key] -= n; r.shares[key] <= 0 {
			delete(r.shares, key)
		}
	}
}

// shareOf is what a client's bodies are counted under: a network of IPv6 is one; not valid for
// loopback, where a proxy of this machine brings everybody's.
func shareOf(ip string) netip.Addr {
	a, err := netip.ParseAddr(ip)
	switch a = a.Unmap(); {
	case err != nil || a.IsLoopback():
		return netip.Addr{}
	case a.Is6():
		p, _ := a.WithZone("").Prefix(64)
		return p.Addr()
	}
	return a
}

// overloaded is the answer when there is no room; it says when to come again.
func overloaded(grounds string) *Refusal {
	return &Refusal{Kind: Default5XX, Status: http.StatusServiceUnavailable, ErrorType: "ServiceUnavailableException", Message: "Service Unavailable", Grounds: grounds}
}

// retryAfter is how many seconds a client that was sent away should wait.
const retryAfter = "1"

// boundHeader refuses a header that API Gateway would not take.
func (x *Exchange) boundHeader() error {
	size := len("Host: \r\n") + len(x.Host)
	for i := range x.Fields {
		size += len(x.Fields[i].Name) + len(": \r\n") + len(x.Fields[i].Value)
	}
	if size <= maxFields {
		return nil
	}
	return &Refusal{Kind: Default4XX, Status: http.StatusRequestHeaderFieldsTooLarge, ErrorType: "RequestHeaderFieldsTooLargeException", Message: "HTTP header is larger than 10240 bytes.", Grounds: "the header has more than 10,240 bytes"}
}

// payload reads the whole body, once.
func (x *Exchange) payload() ([]byte, error) {
	if x.bodyRead {
		return x.body, nil
	}
	x.bodyRead = true
	if x.Body == nil || x.Length == 0 {
		return nil, nil
	}
	body, err := x.gather(x.Body, x.Length)
	if err != nil {
		return nil, unread(err)
	}
	if len(body) > maxBody {
		return nil, tooLarge("the body is larger than 10 MB")
	}
	x.body = body
	return body, nil
}

// unread is the answer to a body that cannot be read.
func unread(err error) *Refusal {
	switch {
	case err == errNoRoom:
		return overloaded("bodies take all the memory that they may")
	case errors.Is(err, http1.ErrBodyTooLarge):
		return tooLarge("the body is larger than 10 MB")
	}
	return refuse(Default4XX, "the body could not be read: "+err.Error())
}

// gather reads to the end, and no more than a byte past the limit. The length that was
// announced, -1 where none was, is believed as far as room goes that costs little.
func (x *Exchange) gather(r io.Reader, length int64) ([]byte, error) {
	b := make([]byte, 0, 512)
	if length > 0 && length <= smallBody {
		b = make([]byte, 0, length+1)
	}
	for len(b) <= maxBody {
		if len(b) == cap(b) {
			var err error
			if b, err = x.grow(b, length); err != nil {
				return nil, err
			}
		}
		n, err := r.Read(b[len(b):min(cap(b), maxBody+1)])
		if b = b[:len(b)+n]; err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	return b, nil
}

// grow doubles b. What is more than small is taken of the common room until the exchange ends.
func (x *Exchange) grow(b []byte, length int64) ([]byte, error) {
	size := min(2*cap(b), maxBody+1)
	if length >= int64(cap(b)) {
		size = min(size, int(length)+1)
	}
	if more := int64(size - max(cap(b), smallBody)); more > 0 {
		if !x.g.room.take(x.RemoteIP, more) {
			return nil, errNoRoom
		}
		x.held += more
	}
	return append(make([]byte, 0, size), b...), nil
}

// holds takes room for an answer that is in memory until the client has taken it, slowly if he likes.
func (x *Exchange) holds(body []byte) error {
	more := int64(len(body)) - smallBody
	if more <= 0 || x.cache == cacheHit { // the cache's own, which everybody shares
		return nil
	}
	if !x.g.room.take(x.RemoteIP, more) {
		return overloaded("answers take all the memory that they may")
	}
	x.held += more
	return nil
}

// leaveRoom gives back what the exchange's bodies took.
func (x *Exchange) leaveRoom() {
	if x.held > 0 {
		x.g.room.give(x.RemoteIP, x.held)
		x.held = 0
	}
}

// boundAnswer refuses an integration's answer that is announced to be larger than the limit. An
// unannounced one breaks off there; see [Exchange.copyStream].
func (x *Exchange) boundAnswer(length int64) error {
	if length <= maxBody || x.Method == http.MethodHead {
		return nil
	}
	return answerTooLarge(length)
}
