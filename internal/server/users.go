package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net"
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
	call, ok := s.ofUsers(w, r, "ExportUsers", &in)
	if !ok || !s.mayUsers(w, r, call, s.parts.userpool.ExportNeeds(in.Pool)) {
		return
	}
	out, err := s.parts.userpool.ExportUsers(wire.WithCall(r.Context(), call), in)
	s.answerUsers(w, r, call, out, err)
}

// importUsers serves POST /_moat/users/import: a batch of users for a pool, of a caller who may
// moat:ImportUsers on it, and cognito-idp:CreateUserPool and iam:PassRole as far as it makes the pool
// and gives groups roles.
func (s *Server) importUsers(w http.ResponseWriter, r *http.Request) {
	var in userpool.ImportRequest
	call, ok := s.ofUsers(w, r, "ImportUsers", &in)
	if !ok || !s.mayUsers(w, r, call, s.parts.userpool.ImportNeeds(&in)) {
		return
	}
	out, err := s.parts.userpool.ImportUsers(wire.WithCall(r.Context(), call), &in)
	s.answerUsers(w, r, call, out, err)
}

// ofUsers reads a signed request, and answers what is none.
func (s *Server) ofUsers(w http.ResponseWriter, r *http.Request, operation string, in any) (*wire.Call, bool) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerJSON(w, http.StatusMethodNotAllowed, map[string]string{"message": "POST asks"})
		return nil, false
	}
	call, err := s.signedBy(r)
	if err != nil {
		s.refuse(w, r, operation, &wire.Call{Time: s.cfg.Now()}, "authenticate", err.Error())
		return nil, false
	}
	call.Service, call.Operation = "moat", operation
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUsers))
	if err != nil {
		answerJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"message": "a request about users is at most 32 MB"})
		return nil, false
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != r.Header.Get("X-Amz-Content-Sha256") {
		s.refuse(w, r, operation, call, "authenticate", "x-amz-content-sha256 is not the hash of the body")
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields() // of a user nothing is passed over
	if err := dec.Decode(in); err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]string{"message": "the request cannot be read: " + err.Error()})
		return nil, false
	}
	return call, true
}

// mayUsers authorises a request, and answers one that is refused.
func (s *Server) mayUsers(w http.ResponseWriter, r *http.Request, call *wire.Call, needs []wire.Need) bool {
	var checks []wire.Check
	for _, need := range needs {
		keys := wire.RequestKeys(call)
		for k, v := range need.Keys {
			keys.Set(k, v...)
		}
		d, err := s.parts.iam.Authorize(r.Context(), call.Caller, need.Action, need.Resource, s.cfg.Account, keys)
		if err != nil {
			s.cfg.Log.Error("who may export and import users could not be decided", "error", err)
			answerJSON(w, http.StatusInternalServerError, map[string]string{"message": "the caller's policies cannot be read; see the log"})
			return false
		}
		checks = append(checks, wire.Check{Action: need.Action, Resource: need.Resource, Decision: d})
		if !d.Allowed {
			s.refuse(w, r, call.Operation, call, "authorise", wire.Denial(call.Caller, need.Action, need.Resource, d), checks...)
			return false
		}
	}
	return true
}

// answerUsers answers, and keeps in the trail that it was asked: never what.
func (s *Server) answerUsers(w http.ResponseWriter, r *http.Request, call *wire.Call, out any, err error) {
	status, step, code, message := http.StatusOK, "encode", "", ""
	var refused wire.Exception
	switch {
	case errors.As(err, &refused):
		status, step, code, message = refused.HTTPStatus(), "call", refused.ErrorCode(), refused.ErrorMessage()
		out = map[string]string{"__type": code, "message": message}
	case err != nil && errors.Is(err, context.Canceled):
		return
	case err != nil:
		s.cfg.Log.Error(call.Operation, "error", err)
		status, step, code, message = http.StatusInternalServerError, "call", "InternalFailure", "the request failed; see the log"
		out = map[string]string{"message": message}
	}
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.parts.trail.Record(wire.Record{
		Time: call.Time, Kind: wire.KindAWS, Method: r.Method, Path: r.URL.EscapedPath(), Service: "moat", Operation: call.Operation, Account: s.cfg.Account, Region: call.Region,
		Host: r.Host, SourceIP: ip, UserAgent: r.UserAgent(), Who: call.Caller.ARN, Caller: call.Caller, AccessKey: call.Caller.AccessKeyID, Action: "moat:" + call.Operation,
		Status: status, Step: step, ErrorCode: code, ErrorMessage: message,
	})
	answerJSON(w, status, out)
}
