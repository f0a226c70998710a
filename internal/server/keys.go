package server

import (
	"net/http"

	"moat/internal/pure/lazyregexp"
)

const rotateKeysPath = "/_moat/keys/rotate"

// poolIDShape is that of a user pool's id; what has another names no pool, and so no resource.
var poolIDShape = lazyregexp.New(`^[a-z0-9-]{1,30}_[0-9A-Za-z]{1,40}$`)

// KeyRotation is what `moat keys rotate` asks for.
type KeyRotation struct {
	Pool string `json:"pool"`
	Drop bool   `json:"drop,omitempty"` // the old key counts no more, and neither do its tokens
}

// rotateKeys serves POST /_moat/keys/rotate, for a caller who may moat:RotateKeys on the pool.
func (s *Server) rotateKeys(w http.ResponseWriter, r *http.Request) {
	var in KeyRotation
	call, ok := s.takeJSON(w, r, question{http.MethodPost, "RotateKeys", maxUsers}, &in)
	if !ok {
		return
	}
	if !poolIDShape.MatchString(in.Pool) {
		answerJSON(w, http.StatusBadRequest, map[string]string{"message": "this is not the id of a user pool"})
		return
	}
	if !s.may(w, r, call, s.parts.userpool.RotateNeeds(in.Pool)...) {
		return
	}
	out, err := s.parts.userpool.RotateKeys(r.Context(), in.Pool, in.Drop)
	s.done(w, r, call, out, err)
}
