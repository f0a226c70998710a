package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"

	"moat/internal/pure/lazyregexp"
	"moat/internal/pure/sigv4"
	"moat/internal/service/stack"
	"moat/internal/service/stack/bundle"
	"moat/internal/wire"
	"moat/internal/wire/cloudformationapi"
)

// maxDeployment bounds what `moat deploy` sends: the template and the packages of its functions.
const maxDeployment = 256 << 20

// Deployment is what `moat deploy` asks for: the first member of the archive it sends. The
// archive's other entries are the template's local folders, built and ready.
type Deployment struct {
	Stack      string            `json:"stack"`
	File       string            `json:"file"` // name of the template, for messages
	Template   string            `json:"template"`
	Parameters map[string]string `json:"parameters"`
	Code       []byte            `json:"code"` // zip of the local folders, by their paths
}

// DeploymentEvent is one line of the answer: progress, then a result or an error.
type DeploymentEvent struct {
	Event     string            `json:"event"` // progress, deployed, unchanged or failed
	LogicalID string            `json:"logicalId,omitempty"`
	Type      string            `json:"type,omitempty"`
	Status    string            `json:"status,omitempty"`
	Message   string            `json:"message,omitempty"`
	Outputs   map[string]string `json:"outputs,omitempty"`
}

// deployRemote serves POST /_moat/deploy: a signed request of a caller who may create and
// execute change sets. What the deployment does to other services is authorised as that
// caller's own calls.
func (s *Server) deployRemote(w http.ResponseWriter, r *http.Request) {
	call, body, ok := s.take(w, r, question{http.MethodPost, "Deploy", maxDeployment})
	if !ok {
		return
	}
	var in Deployment
	if err := json.Unmarshal(body, &in); err != nil || in.Stack == "" {
		answerMessage(w, http.StatusBadRequest, "this is not a deployment: "+errorText(err))
		return
	}
	if why := s.mayDeploy(r.Context(), call, in.Stack); why != "" {
		s.refuse(w, r, "Deploy", call, "authorise", why)
		return
	}
	s.carryOut(w, r, in, call)
}

// mayDeploy asks whether a caller may do what a deployment does to a stack; why not, else.
func (s *Server) mayDeploy(ctx context.Context, call *wire.Call, name string) string {
	api := s.parts.stack.APIs()[0]
	for _, in := range []any{&cloudformationapi.CreateChangeSetInput{StackName: name}, &cloudformationapi.ExecuteChangeSetInput{StackName: &name}} {
		operation := strings.TrimSuffix(reflect.TypeOf(in).Elem().Name(), "Input")
		action := api.Action + ":" + operation
		for _, need := range api.Resources(call, operation, in) {
			keys := s.keysOf(call)
			for k, v := range need.Keys {
				keys.Set(k, v...)
			}
			d, err := s.parts.iam.Authorize(ctx, call.Caller, action, need.Resource, s.cfg.Account, keys)
			if err != nil || !d.Allowed {
				return wire.Denial(call.Caller, action, need.Resource, d)
			}
		}
	}
	return ""
}

func errorText(err error) string {
	if err == nil {
		return "it names no stack"
	}
	return err.Error()
}

// carryOut deploys and reports, one JSON object per line.
func (s *Server) carryOut(w http.ResponseWriter, r *http.Request, in Deployment, call *wire.Call) {
	w.Header().Set("Content-Type", "application/jsonl")
	var mu sync.Mutex
	enc := json.NewEncoder(w)
	say := func(e DeploymentEvent) {
		mu.Lock()
		defer mu.Unlock()
		_ = enc.Encode(e)
		_ = http.NewResponseController(w).Flush()
	}
	// A client that goes away must not leave a stack half-way: the deployment runs to its end.
	ctx := wire.WithCall(context.WithoutCancel(r.Context()), call)
	res, err := s.deployArchive(ctx, in, func(e stack.Event) {
		say(DeploymentEvent{Event: "progress", LogicalID: e.LogicalID, Type: e.Type, Status: e.Status, Message: e.Reason})
	})
	switch {
	case err != nil:
		say(DeploymentEvent{Event: "failed", Message: err.Error()})
	case res.Changed:
		say(DeploymentEvent{Event: "deployed", Status: res.Status, Outputs: res.Outputs})
	default:
		say(DeploymentEvent{Event: "unchanged", Status: res.Status, Outputs: res.Outputs})
	}
}

func (s *Server) deployArchive(ctx context.Context, in Deployment, progress func(stack.Event)) (stack.Result, error) {
	if err := os.MkdirAll(s.cfg.runDir(), 0o700); err != nil {
		return stack.Result{}, err
	}
	dir, err := os.MkdirTemp(s.cfg.runDir(), "deploy-")
	if err != nil {
		return stack.Result{}, err
	}
	defer os.RemoveAll(dir)
	if len(in.Code) > 0 {
		if err := bundle.Unzip(in.Code, dir); err != nil {
			return stack.Result{}, err
		}
	}
	return s.parts.stack.Deploy(bundle.Prebuilt(ctx), stack.DeployInput{
		Name: in.Stack, Template: []byte(in.Template), File: filepath.Base(in.File), Dir: dir, Parameters: in.Parameters, Progress: progress,
	})
}

var (
	regionName = lazyregexp.New(`^[a-z]{2,}(-[a-z]+)+-[0-9]{1,2}$`)
	bodyHash   = lazyregexp.New(`^[0-9a-f]{64}$`)
)

// signedBy verifies the signature of a request to one of Moat's own addresses (SigV4, header
// form, service "moat") and returns the call of its caller. The body's hash is taken as it was
// signed, so that a body is read only for who holds a key; the caller then compares it.
func (s *Server) signedBy(r *http.Request) (*wire.Call, error) {
	req := sigv4.Request{Method: r.Method, Path: r.URL.EscapedPath(), RawQuery: r.URL.RawQuery, Host: r.Host, Header: r.Header}
	auth, err := sigv4.Parse(req)
	if err != nil {
		return nil, err
	}
	if auth.Presigned || auth.Service != "moat" || !regionName.MatchString(auth.Region) {
		return nil, errors.New("the signature is not for the service moat in a region")
	}
	declared := r.Header.Values("X-Amz-Content-Sha256")
	if len(declared) != 1 || !bodyHash.MatchString(declared[0]) {
		return nil, errors.New("x-amz-content-sha256 must be the hash of the body")
	}
	cred, err := s.parts.iam.Credential(r.Context(), auth.AccessKeyID, auth.SecurityToken)
	if err != nil {
		return nil, errors.New("the access key is not valid")
	}
	if err := auth.Verify(req, declared[0], cred.Secret, s.cfg.Now()); err != nil {
		return nil, err
	}
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	return &wire.Call{
		Account: s.cfg.Account, Region: auth.Region, Time: s.cfg.Now(), Caller: cred.Caller,
		Host: r.Host, Secure: r.TLS != nil, SourceIP: ip, UserAgent: r.UserAgent(),
	}, nil
}

// ReadDeploymentEvents calls fn for each line of an answer.
func ReadDeploymentEvents(answer io.Reader, fn func(DeploymentEvent)) error {
	dec := json.NewDecoder(answer)
	for {
		var e DeploymentEvent
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fn(e)
	}
}
