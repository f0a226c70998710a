package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"moat/internal/wire"
)

// question is what one of Moat's own addresses takes: a signed request (SigV4, service "moat").
type question struct {
	method, operation string
	most              int64 // bytes of the body; 0: there is none
}

// take lets a signed request through with its body, and answers what is none. It authorises nothing.
func (s *Server) take(w http.ResponseWriter, r *http.Request, q question) (call *wire.Call, body []byte, ok bool) {
	if r.Method != q.method {
		w.Header().Set("Allow", q.method)
		answerMessage(w, http.StatusMethodNotAllowed, q.method+" asks")
		return nil, nil, false
	}
	call, err := s.signedBy(r)
	if err != nil {
		s.refuse(w, r, q.operation, &wire.Call{Time: s.cfg.Now()}, "authenticate", err.Error())
		return nil, nil, false
	}
	call.Service, call.Operation = "moat", q.operation
	body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, q.most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large) && q.most > 0:
		answerMessage(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the request is larger than %d bytes", q.most))
		return nil, nil, false
	case err != nil && q.most > 0:
		answerMessage(w, http.StatusBadRequest, "the request could not be read")
		return nil, nil, false
	case err != nil:
		s.refuse(w, r, q.operation, call, "authenticate", "a question has no body")
		return nil, nil, false
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != r.Header.Get("X-Amz-Content-Sha256") {
		s.refuse(w, r, q.operation, call, "authenticate", "x-amz-content-sha256 is not the hash of the body")
		return nil, nil, false
	}
	return call, body, true
}

// takeJSON is [Server.take] of a body that is one JSON object, of which nothing is passed over.
func (s *Server) takeJSON(w http.ResponseWriter, r *http.Request, q question, in any) (*wire.Call, bool) {
	call, body, ok := s.take(w, r, q)
	if !ok {
		return nil, false
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(in); err != nil {
		answerMessage(w, http.StatusBadRequest, "the request cannot be read: "+err.Error())
		return nil, false
	}
	return call, true
}

// may authorises a request, and answers one that is refused.
func (s *Server) may(w http.ResponseWriter, r *http.Request, call *wire.Call, needs ...wire.Need) bool {
	var checks []wire.Check
	for _, need := range needs {
		keys := s.keysOf(call)
		for k, v := range need.Keys {
			keys.Set(k, v...)
		}
		d, err := s.parts.iam.Authorize(r.Context(), call.Caller, need.Action, need.Resource, s.cfg.Account, keys)
		if err != nil {
			s.cfg.Log.Error("whether a caller may could not be decided", "operation", call.Operation, "error", err)
			answerMessage(w, http.StatusInternalServerError, "the caller's policies cannot be read; see the log")
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

// done answers, and keeps in the trail that it was asked: never what.
func (s *Server) done(w http.ResponseWriter, r *http.Request, call *wire.Call, out any, err error) {
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

// refuse answers 403 at one of Moat's own addresses, and keeps the refusal in the trail.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, operation string, call *wire.Call, step, why string, checks ...wire.Check) {
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	s.parts.trail.Record(wire.Record{
		Time: call.Time, Kind: wire.KindAWS, Method: r.Method, Path: r.URL.EscapedPath(), Service: "moat", Operation: operation, Account: s.cfg.Account, Region: s.cfg.Region,
		Host: r.Host, SourceIP: ip, UserAgent: r.UserAgent(), Caller: call.Caller, AccessKey: call.Caller.AccessKeyID, Status: http.StatusForbidden, Step: step,
		Grounds: why, ErrorCode: "AccessDenied", ErrorMessage: why, Checks: checks,
	})
	answerMessage(w, http.StatusForbidden, why)
}

func answerMessage(w http.ResponseWriter, status int, message string) {
	answerJSON(w, status, map[string]string{"message": message})
}
