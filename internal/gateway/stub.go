package gateway

import (
	"net/http"
	"time"
)

// Snapshot is a compiled, immutable [Definition].
type Snapshot struct {
	key    string
	def    Definition
	limits limits
}
type limits struct{}

func (l *limits) adopt(*limits) {}

// Compile turns a definition into a snapshot.
func Compile(d Definition) (*Snapshot, error) {
	return &Snapshot{key: d.APIID + "/" + d.Stage, def: d}, nil
}

// ServeAPI answers a request.
func (g *Gateway) ServeAPI(w http.ResponseWriter, r *http.Request, apiID, stage, path string) {
	w.WriteHeader(http.StatusForbidden)
}

// HashKey gives the name under which a PlanSet holds the API key of this value.
func HashKey(secret []byte, value string) string { return newKeyHasher(secret).hash(value) }

type keyHasher struct{}

func newKeyHasher([]byte) keyHasher          { return keyHasher{} }
func (keyHasher) hash(value string) string   { return value }
type tokenMemory struct{}
func newTokenMemory([]byte) *tokenMemory { return nil }
type policyMemory struct{}
func newPolicyMemory([]byte) *policyMemory { return nil }
func newTransport(bool) http.RoundTripper { return http.DefaultTransport }
type planIndex struct{}
func compilePlans(PlanSet, *planIndex, time.Time) *planIndex { return &planIndex{} }
