package server

import (
	"encoding/json"
	"net/http"
	"strings"

	"moat/internal/service/function"
	"moat/internal/service/userpool"
)

// own serves Moat's own addresses below /_moat/.
func (s *Server) own(w http.ResponseWriter, r *http.Request, path string) {
	switch path {
	case "/_moat/health":
		s.health(w, r)
		return
	case "/_moat/ca.pem":
		w.Header().Set("Content-Type", "application/x-pem-file")
		w.Write(s.parts.authority.certPEM)
		return
	case "/_moat/deploy":
		s.deployRemote(w, r)
		return
	case "/_moat/policy":
		s.askPolicies(w, r)
		return
	case suggestPath:
		s.suggest(w, r)
		return
	case MetricsPath:
		s.serveMetrics(w, r)
		return
	case rotateKeysPath:
		s.rotateKeys(w, r)
		return
	case ChangeSchemaPath:
		s.changeSchema(w, r)
		return
	case exportUsersPath:
		s.exportUsers(w, r)
		return
	case importUsersPath:
		s.importUsers(w, r)
		return
	}
	if id, ok := strings.CutPrefix(path, explainPath); ok {
		s.explain(w, r, id)
		return
	}
	if strings.HasPrefix(path, function.CodePath) {
		s.parts.function.ServeCode(w, r)
		return
	}
	if strings.HasPrefix(path, userpool.ImportPath) {
		s.parts.userpool.ServeImport(w, r)
		return
	}
	if s.cfg.Dev && (path == "/_moat/outbox" || path == "/_moat/reset") {
		if why := foreign(r); why != "" {
			answerJSON(w, http.StatusForbidden, map[string]string{"message": why})
			return
		}
		if path == "/_moat/reset" {
			s.reset(w, r)
		} else {
			s.serveOutbox(w, r)
		}
		return
	}
	answerJSON(w, http.StatusNotFound, map[string]string{"message": "there is nothing at " + path})
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	mode := "serve"
	if s.cfg.Dev {
		mode = "dev"
	}
	delivered, undelivered := s.parts.userpool.Deliveries()
	messages := map[string]int64{"undelivered": undelivered}
	if s.cfg.Dev { // how much is written to people is nobody else's business
		messages["delivered"] = delivered
	}
	answerJSON(w, http.StatusOK, map[string]any{
		"status": "ok", "version": s.cfg.Version, "mode": mode, "region": s.cfg.Region, "account": s.cfg.Account,
		"messages": messages,
	})
}

// reset empties everything but the administrator, at once, as test suites want it.
func (s *Server) reset(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		answerJSON(w, http.StatusMethodNotAllowed, map[string]string{"message": "POST resets; " + r.Method + " does nothing"})
		return
	}
	if err := s.parts.reset(r.Context()); err != nil {
		s.cfg.Log.Error("reset", "error", err)
		answerJSON(w, http.StatusInternalServerError, map[string]string{"message": "the reset failed; see the log"})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) serveOutbox(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		answerJSON(w, http.StatusMethodNotAllowed, map[string]string{"message": "the outbox is read with GET"})
		return
	}
	messages, err := s.parts.outbox.list(r.Context(), r.URL.Query().Get("to"))
	if err != nil {
		s.cfg.Log.Error("outbox", "error", err)
		answerJSON(w, http.StatusInternalServerError, map[string]string{"message": "the outbox cannot be read; see the log"})
		return
	}
	answerJSON(w, http.StatusOK, messages)
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
