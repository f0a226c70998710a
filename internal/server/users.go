package server

import (
	"net/http"

	"moat/internal/service/userpool"
	"moat/internal/wire"
)

// Where `moat users export` and `moat users import` ask.
const (
	exportUsersPath = "/_moat/users/export"
	importUsersPath = "/_moat/users/import"
	// maxUsers bounds the body of one request: a batch of users.
	maxUsers = 32 << 20
)

// exportUsers serves POST /_moat/users/export: one page of a pool's users, for a caller who may
// moat:ExportUsers on the pool.
func (s *Server) exportUsers(w http.ResponseWriter, r *http.Request) {
	var in userpool.ExportRequest
	call, ok := s.takeJSON(w, r, question{http.MethodPost, "ExportUsers", maxUsers}, &in)
	if !ok || !s.may(w, r, call, s.parts.userpool.ExportNeeds(in.Pool)...) {
		return
	}
	out, err := s.parts.userpool.ExportUsers(wire.WithCall(r.Context(), call), in)
	s.done(w, r, call, out, err)
}

// importUsers serves POST /_moat/users/import: a batch of users for a pool, of a caller who may
// moat:ImportUsers on it, and cognito-idp:CreateUserPool and iam:PassRole as far as it makes the pool
// and gives groups roles.
func (s *Server) importUsers(w http.ResponseWriter, r *http.Request) {
	var in userpool.ImportRequest
	call, ok := s.takeJSON(w, r, question{http.MethodPost, "ImportUsers", maxUsers}, &in)
	if !ok || !s.may(w, r, call, s.parts.userpool.ImportNeeds(&in)...) {
		return
	}
	out, err := s.parts.userpool.ImportUsers(wire.WithCall(r.Context(), call), &in)
	s.done(w, r, call, out, err)
}
