// Package http1 speaks HTTP/1.1 on both sides of a gateway: a server that reads requests
// into views over one pooled buffer, and a client that keeps connections to upstreams.
//
// It owns framing, connections and their limits. It refuses every message of which two
// readers could think differently, where net/http repairs or guesses; each refusal ends the connection.
package http1
