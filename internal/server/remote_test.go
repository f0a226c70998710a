package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/wire"
	"moat/internal/wire/iamapi"
)

// deployer makes a user with a policy and gives the user's key.
func deployer(t *testing.T, s *Server, name, document string) sigv4.Credentials {
	t.Helper()
	root, err := s.parts.iam.Credential(t.Context(), "test", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := wire.WithCall(t.Context(), &wire.Call{Account: "000000000000", Region: "us-east-1", Caller: root.Caller})
	api := iamapi.Client(s.parts.pipeline)
	if _, err := api.CreateUser(ctx, &iamapi.CreateUserRequest{UserName: name}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.PutUserPolicy(ctx, &iamapi.PutUserPolicyRequest{UserName: name, PolicyName: "p", PolicyDocument: document}); err != nil {
		t.Fatal(err)
	}
	out, err := api.CreateAccessKey(ctx, &iamapi.CreateAccessKeyRequest{UserName: &name})
	if err != nil {
		t.Fatal(err)
	}
	return sigv4.Credentials{AccessKeyID: out.AccessKey.AccessKeyId, SecretAccessKey: out.AccessKey.SecretAccessKey}
}

// sendDeployment signs what signed says and sends body.
func sendDeployment(t *testing.T, s *Server, c sigv4.Credentials, region, service string, signed, body []byte) (int, string) {
	t.Helper()
	return get(t, s, http.MethodPost, "/_moat/deploy", func(r *http.Request) {
		sum := sha256.Sum256(signed)
		hash := hex.EncodeToString(sum[:])
		r.Header.Set("X-Amz-Content-Sha256", hash)
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		req := sigv4.Request{Method: r.Method, Path: "/_moat/deploy", Host: r.URL.Host, Header: r.Header}
		sigv4.Sign(&req, hash, c, region, service, time.Now())
	})
}

func TestDeployRemote_Refuses(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	allow := func(actions, resource string) string {
		return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":[` + actions + `],"Resource":"` + resource + `"}]}`
	}
	const both = `"cloudformation:CreateChangeSet","cloudformation:ExecuteChangeSet"`
	const stacks = "arn:aws:cloudformation:us-east-1:000000000000:stack/mine/*"
	whole := deployer(t, s, "whole", allow(both+`,"ssm:*"`, "*"))
	onlyStacks := deployer(t, s, "stacks", allow(both, stacks))
	proposer := deployer(t, s, "proposer", allow(`"cloudformation:CreateChangeSet","ssm:*"`, "*"))
	body := func(stack string) []byte {
		b, err := json.Marshal(Deployment{Stack: stack, File: "t.yaml", Template: "Resources:\n  P:\n    Type: AWS::SSM::Parameter\n    Properties:\n      Type: String\n      Value: v\n"})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	mine := body("mine")
	for _, c := range []struct {
		name            string
		who             sigv4.Credentials
		region, service string
		signed, sent    []byte
		status          int
		text            string
	}{
		{"who may deploy, and nothing else", onlyStacks, "us-east-1", "moat", mine, mine, 200, "is not authorized to perform: ssm:"},
		{"who may", whole, "us-east-1", "moat", mine, mine, 200, `"deployed"`},
		{"who may deploy another stack", onlyStacks, "us-east-1", "moat", body("yours"), body("yours"), 403, "CreateChangeSet"},
		{"who may deploy in another region", onlyStacks, "eu-west-1", "moat", mine, mine, 403, "CreateChangeSet"},
		{"who may propose, not execute", proposer, "us-east-1", "moat", mine, mine, 403, "ExecuteChangeSet"},
		{"another body than was signed", whole, "us-east-1", "moat", mine, body("yours"), 403, "hash"},
		{"signed for another service", whole, "us-east-1", "cloudformation", mine, mine, 403, "service"},
		{"signed for no region", whole, "*", "moat", mine, mine, 403, "region"},
		{"a wrong secret", sigv4.Credentials{AccessKeyID: whole.AccessKeyID, SecretAccessKey: "x"}, "us-east-1", "moat", mine, mine, 403, "signature"},
		{"an unknown key", sigv4.Credentials{AccessKeyID: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: "x"}, "us-east-1", "moat", mine, mine, 403, "access key"},
	} {
		if status, text := sendDeployment(t, s, c.who, c.region, c.service, c.signed, c.sent); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: got %d %s, want %d with %q", c.name, status, text, c.status, c.text)
		}
	}
}

// A template that was sent reads nothing of the server's disk.
func TestDeployRemote_StaysInItsFolder(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	for _, uri := range []string{"../", "/etc", "../../../../etc/passwd", "a/../../.."} {
		body, err := json.Marshal(Deployment{Stack: "mine", Template: "Transform: AWS::Serverless-2016-10-31\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Runtime: nodejs20.x\n      Handler: index.handler\n      CodeUri: " + uri + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		status, text := sendDeployment(t, s, sigv4.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, "us-east-1", "moat", body, body)
		if status != 200 || !strings.Contains(text, "below the template's folder") {
			t.Errorf("%s: got %d %s", uri, status, text)
		}
	}
}

// Nobody makes Moat read a large body without a key.
func TestDeployRemote_ReadsNothingOfStrangers(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	read := make(chan struct{}, 1)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://localhost/_moat/deploy", io.MultiReader(strings.NewReader("x"), readerFunc(func([]byte) (int, error) {
		read <- struct{}{}
		return 0, io.EOF
	})))
	if err != nil {
		t.Fatal(err)
	}
	w := &statusWriter{header: http.Header{}}
	s.ServeHTTP(w, r)
	select {
	case <-read:
		t.Error("the body was read")
	default:
	}
	if w.status != http.StatusForbidden {
		t.Errorf("got %d", w.status)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

type statusWriter struct {
	header http.Header
	status int
}

func (w *statusWriter) Header() http.Header         { return w.header }
func (w *statusWriter) WriteHeader(status int)      { w.status = status }
func (w *statusWriter) Write(p []byte) (int, error) { return len(p), nil }
