package server

import (
	"net/http"

	"moat/internal/service/userpool"
)

// ChangeSchemaPath is where `moat pools change` asks.
const ChangeSchemaPath = "/_moat/userpool/schema"

// changeSchema serves POST /_moat/userpool/schema, for a caller who may cognito-idp:UpdateUserPool and
// cognito-idp:ListUsers on the pool.
func (s *Server) changeSchema(w http.ResponseWriter, r *http.Request) {
	var in userpool.SchemaChange
	call, ok := s.takeJSON(w, r, question{http.MethodPost, "ChangeUserPoolSchema", maxUsers}, &in)
	if !ok {
		return
	}
	if !poolIDShape.MatchString(in.Pool) {
		answerJSON(w, http.StatusBadRequest, map[string]string{"message": "this is not the id of a user pool"})
		return
	}
	if !s.may(w, r, call, s.parts.userpool.SchemaNeeds(in.Pool)...) {
		return
	}
	out, err := s.parts.userpool.ChangeSchema(r.Context(), &in)
	s.done(w, r, call, out, err)
}
