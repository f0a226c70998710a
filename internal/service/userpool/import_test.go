package userpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"moat/internal/store"
	"moat/internal/wire"
	api "moat/internal/wire/cognitoidpapi"
)

const logsRole = "arn:aws:iam::000000000000:role/imports"

func (h *house) importJob(pool string) *api.UserImportJobType {
	h.t.Helper()
	return must[*api.CreateUserImportJobResponse](h.t)(h.c.CreateUserImportJob(h.t.Context(), &api.CreateUserImportJobRequest{UserPoolId: pool, JobName: "the move", CloudWatchLogsRoleArn: logsRole})).UserImportJob
}

func (h *house) upload(address string, body io.Reader, change func(*http.Request)) int {
	h.t.Helper()
	r := httptest.NewRequest(http.MethodPut, strings.TrimPrefix(address, "http://localhost:4566"), body)
	r.Header.Set("X-Amz-Server-Side-Encryption", "aws:kms")
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeImport(w, r)
	return w.Code
}

func (h *house) startImport(pool, job string) error {
	_, err := h.c.StartUserImportJob(h.t.Context(), &api.StartUserImportJobRequest{UserPoolId: pool, JobId: job})
	return err
}

func (h *house) describeJob(pool, job string) *api.UserImportJobType {
	h.t.Helper()
	return must[*api.DescribeUserImportJobResponse](h.t)(h.c.DescribeUserImportJob(h.t.Context(), &api.DescribeUserImportJobRequest{UserPoolId: pool, JobId: job})).UserImportJob
}

// workOff does what Run does, without its pauses.
func (h *house) workOff() (steps int) {
	h.t.Helper()
	for {
		more, err := h.importStep(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if !more {
			return steps
		}
		steps++
	}
}

// csv writes a file with the pool's columns, in another order than the pool names them.
func (h *house) csv(pool string, rows ...map[string]string) string {
	h.t.Helper()
	header := must[*api.GetCSVHeaderResponse](h.t)(h.c.GetCSVHeader(h.t.Context(), &api.GetCSVHeaderRequest{UserPoolId: pool})).CSVHeader
	slices.Reverse(header)
	out := strings.Join(header, ",") + "\r\n"
	for _, row := range rows {
		fields := make([]string, len(header))
		for i, name := range header {
			fields[i] = strings.ReplaceAll(row[name], ",", `\,`)
		}
		out += strings.Join(fields, ",") + "\r\n"
	}
	return out
}

func csvRow(name string, more ...string) map[string]string {
	out := map[string]string{columnUsername: name, columnMFA: "FALSE", "email": name + "@example.com", "email_verified": "TRUE"}
	for i := 0; i < len(more); i += 2 {
		out[more[i]] = more[i+1]
	}
	return out
}

func importPool(in *api.CreateUserPoolRequest) {
	in.UsernameAttributes, in.AliasAttributes = nil, []api.AliasAttributeType{"email"}
	in.Schema = []api.SchemaAttributeType{{Name: wire.String("plan"), StringAttributeConstraints: &api.StringAttributeConstraintsType{MaxLength: wire.String("4")}}}
}

func TestService_import(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	var lines []string
	h.appendLog = func(_ context.Context, region, group, stream string, times []time.Time, texts []string) error {
		if region != testRegion || !strings.HasPrefix(group, "/aws/cognito/userpools/"+testRegion+"_") || !strings.HasSuffix(group, "/school") || !strings.HasSuffix(stream, "/the-move") || len(times) != len(texts) {
			t.Errorf("logged to %s %s %s", region, group, stream)
		}
		lines = append(lines, texts...)
		return nil
	}
	pool := h.newPoolID(importPool)
	client := *h.newClient(pool, nil).ClientId
	hiding := *h.newClient(pool, func(in *api.CreateUserPoolClientRequest) { in.PreventUserExistenceErrors = "ENABLED" }).ClientId
	h.member(pool, "old", "email", "old@example.com", "email_verified", "true")
	header := must[*api.GetCSVHeaderResponse](t)(h.c.GetCSVHeader(ctx, &api.GetCSVHeaderRequest{UserPoolId: pool})).CSVHeader
	if got := strings.Join(header, ","); got != "name,given_name,family_name,middle_name,nickname,preferred_username,profile,picture,website,email,email_verified,gender,birthdate,zoneinfo,locale,phone_number,phone_number_verified,address,updated_at,custom:plan,cognito:mfa_enabled,cognito:username" {
		t.Errorf("got columns %s", got)
	}
	j := h.importJob(pool)
	if j.Status != "Created" || !strings.HasPrefix(*j.PreSignedUrl, "http://localhost:4566/_moat/import/") || *j.CloudWatchLogsRoleArn != logsRole {
		t.Fatalf("got %+v", j)
	}
	file := h.csv(pool,
		csvRow("ann", "address", "1 Any Street, Town", "birthdate", "02/01/1985", "updated_at", "1471453471", "custom:plan", "free"),
		csvRow("old"),
		csvRow("eve", "email", "old@example.com"),
		csvRow("bob", "email_verified", "FALSE"),
		csvRow("carl", "custom:plan", "forever"),
		csvRow("dora", columnMFA, ""),
		csvRow("emil", columnMFA, "TRUE"),
		csvRow("fay", "birthdate", "1985-02-01"),
		csvRow("g h"),
		csvRow(""),
		csvRow("ida", "phone_number", "0123"),
		csvRow("jo", "email", ""),
		csvRow("ann"),
	) + "short,line\r\n\r\n"
	if status := h.upload(*j.PreSignedUrl, strings.NewReader(file), nil); status != 200 {
		t.Fatalf("the upload: %d", status)
	}
	if err := h.startImport(pool, *j.JobId); err != nil {
		t.Fatal(err)
	}
	if j := h.describeJob(pool, *j.JobId); j.Status != "Pending" || j.StartDate == nil || j.PreSignedUrl != nil {
		t.Errorf("a started job: %+v", j)
	}
	h.workOff()
	j = h.describeJob(pool, *j.JobId)
	if j.Status != "Succeeded" || *j.CompletionMessage != importSucceeded || *j.ImportedUsers != 1 || *j.SkippedUsers != 2 || *j.FailedUsers != 11 || j.CompletionDate == nil {
		t.Errorf("got %+v: %d %d %d", j, *j.ImportedUsers, *j.SkippedUsers, *j.FailedUsers)
	}
	for i, want := range []string{
		"[SUCCEEDED] Line Number 2 - The import succeeded.", "[SKIPPED] Line Number 3 - The user already exists.", "[FAILED] Line Number 4 - An account with the email already exists.",
		"[FAILED] Line Number 5 - The User Record does not set any of the auto verified attributes to true. (Example: email_verified to true).",
		"[FAILED] Line Number 6 - Attributes did not conform to the schema: custom:plan: String must be no longer than 4 characters",
		"[FAILED] Line Number 7 - The field cognito:mfa_enabled", "[FAILED] Line Number 8 - The field cognito:mfa_enabled", "[FAILED] Line Number 9 - The birthdate",
		"[FAILED] Line Number 10 - The field cognito:username", "[FAILED] Line Number 11 - The field cognito:username", "[FAILED] Line Number 12 - Invalid phone number format.",
		"[FAILED] Line Number 13 - The attribute email is verified and missing.", "[SKIPPED] Line Number 14 -", "[FAILED] Line Number 15 - The number of fields",
	} {
		if i >= len(lines) || !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d of the log: %q, want %q", i, lines[min(i, len(lines)-1)], want)
		}
	}
	u := must[*api.AdminGetUserResponse](t)(h.c.AdminGetUser(ctx, &api.AdminGetUserRequest{UserPoolId: pool, Username: "ann"}))
	if a := attributesOf(u.UserAttributes); u.UserStatus != "RESET_REQUIRED" || a["address"] != "1 Any Street, Town" || a["birthdate"] != "1985-02-01" || a["email_verified"] != "true" || a["updated_at"] != "1471453471" {
		t.Errorf("got %s %v", u.UserStatus, a)
	}
	// He has no password that could be right, and is told to set one where that betrays nothing.
	_, err := h.signIn(client, "ann", goodPass)
	want(t, err, "PasswordResetRequiredException", "Password reset required for the user")
	_, err = h.srp(pool, client).signIn("ann", goodPass)
	want(t, err, "PasswordResetRequiredException", "")
	_, err = h.signIn(hiding, "ann", goodPass)
	want(t, err, "NotAuthorizedException", "Incorrect username or password.")
	must[*api.ForgotPasswordResponse](t)(h.c.ForgotPassword(ctx, &api.ForgotPasswordRequest{ClientId: client, Username: "ann"}))
	must[*api.ConfirmForgotPasswordResponse](t)(h.c.ConfirmForgotPassword(ctx, &api.ConfirmForgotPasswordRequest{ClientId: client, Username: "ann", ConfirmationCode: h.box.last(t).Code, Password: goodPass}))
	h.mustSignIn(client, "ann@example.com")
}

// An address takes one file, for a while, and only what is a file of users.
func TestService_import_upload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(importPool)
	file := h.csv(pool, csvRow("ann"))
	j := h.importJob(pool)
	address := *j.PreSignedUrl
	for name, tt := range map[string]struct {
		address string
		body    io.Reader
		change  func(*http.Request)
		status  int
	}{
		"GET":          {address, nil, func(r *http.Request) { r.Method = "GET" }, 405},
		"POST":         {address, strings.NewReader(file), func(r *http.Request) { r.Method = "POST" }, 405},
		"altered":      {address[:len(address)-2] + "AA", strings.NewReader(file), nil, 403},
		"cut off":      {address[:len(address)-1], strings.NewReader(file), nil, 403},
		"nothing":      {"http://localhost:4566/_moat/import/", strings.NewReader(file), nil, 403},
		"no text":      {address, strings.NewReader("a,\xff\n"), nil, 400},
		"NUL":          {address, strings.NewReader("a,\x00\n"), nil, 400},
		"long line":    {address, strings.NewReader(strings.Repeat("x", maxImportLine+1)), nil, 400},
		"longer line":  {address, strings.NewReader(strings.Repeat("x", 1<<20)), nil, 400},
		"broken":       {address, io.MultiReader(strings.NewReader(file), failing{}), nil, 400},
		"too much":     {address, io.LimitReader(endless{}, maxImportBytes+1), nil, 413},
		"the real one": {address, strings.NewReader(file), nil, 0},
	} {
		if tt.status == 0 || (testing.Short() && tt.status == 413) {
			continue
		}
		if status := h.upload(tt.address, tt.body, tt.change); status != tt.status {
			t.Errorf("%s: %d, want %d", name, status, tt.status)
		}
		want(t, h.startImport(pool, *j.JobId), "PreconditionNotMetException", "")
	}
	parts := func() (n int) {
		t.Helper()
		if err := h.db.View(t.Context(), func(tx *store.Tx) (err error) { n, err = h.tables.parts.Count(tx, store.Query{}); return err }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if n := parts(); n != 0 {
		t.Errorf("refused uploads left %d parts", n)
	}
	if status := h.upload(address, strings.NewReader(file), nil); status != 200 {
		t.Fatalf("the upload: %d", status)
	}
	if status := h.upload(address, strings.NewReader(h.csv(pool, csvRow("eve"))), nil); status != 403 {
		t.Errorf("the address works twice: %d", status)
	}
	late := h.importJob(pool)
	h.advance(16 * time.Minute)
	if status := h.upload(*late.PreSignedUrl, strings.NewReader(file), nil); status != 403 {
		t.Errorf("the address works after its time: %d", status)
	}
	h.advance(24 * time.Hour)
	if d := h.describeJob(pool, *j.JobId); d.Status != "Expired" || *d.CompletionMessage != importExpired {
		t.Errorf("a job that nobody started: %+v", d)
	}
	want(t, h.startImport(pool, *j.JobId), "PreconditionNotMetException", "")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// endless is a file of short lines.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
		if i%8192 == 0 {
			p[i] = '\n'
		}
	}
	return len(p), nil
}

// Of two uploads at once, one counts.
func TestService_import_race(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(importPool)
	j := h.importJob(pool)
	h.record = func(wire.Record) {} // the house's own is for one at a time
	results := make(chan int, 8)
	for i := range cap(results) {
		file := h.csv(pool, csvRow(fmt.Sprintf("user%d", i)))
		go func() {
			w := httptest.NewRecorder()
			h.ServeImport(w, httptest.NewRequest(http.MethodPut, strings.TrimPrefix(*j.PreSignedUrl, "http://localhost:4566"), strings.NewReader(file)))
			results <- w.Code
		}()
	}
	taken := 0
	for range cap(results) {
		if <-results == 200 {
			taken++
		}
	}
	if taken != 1 {
		t.Errorf("%d files were taken", taken)
	}
	if err := h.startImport(pool, *j.JobId); err != nil {
		t.Fatal(err)
	}
	h.workOff()
	if d := h.describeJob(pool, *j.JobId); *d.ImportedUsers != 1 {
		t.Errorf("%d users", *d.ImportedUsers)
	}
}

func TestService_import_ends(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	pool, other := h.newPoolID(importPool), h.newPoolID(importPool)
	bare := h.newPoolID(func(in *api.CreateUserPoolRequest) { in.AutoVerifiedAttributes = nil })
	begin := func(pool, file string) string {
		t.Helper()
		h.advance(time.Second)
		j := h.importJob(pool)
		if status := h.upload(*j.PreSignedUrl, strings.NewReader(file), nil); status != 200 {
			t.Fatalf("the upload: %d", status)
		}
		return *j.JobId
	}
	var many []map[string]string
	for i := range 120 {
		many = append(many, csvRow(fmt.Sprintf("user%03d", i)))
	}
	good := h.csv(pool, many...)
	unverified := begin(bare, h.csv(bare, csvRow("ann")))
	want(t, h.startImport(bare, unverified), "PreconditionNotMetException", "The user pool has no auto verified attributes.")
	stopped, second := begin(pool, good), begin(other, h.csv(other, csvRow("ann")))
	stop := func(id string) error {
		_, err := h.c.StopUserImportJob(ctx, &api.StopUserImportJobRequest{UserPoolId: pool, JobId: id})
		return err
	}
	want(t, stop(stopped), "PreconditionNotMetException", "")
	want(t, h.startImport(other, stopped), "ResourceNotFoundException", "")
	for pool, id := range map[string]string{pool: stopped, other: second} {
		if err := h.startImport(pool, id); err != nil {
			t.Fatal(err)
		}
	}
	for { // until one of the two has done a part; both are in the queue
		if _, err := h.importStep(ctx); err != nil {
			t.Fatal(err)
		}
		if d := h.describeJob(pool, stopped); d.Status == "InProgress" {
			if *d.ImportedUsers != importPart-1 {
				t.Errorf("the first part made %d users", *d.ImportedUsers)
			}
			break
		}
	}
	if err := stop(stopped); err != nil {
		t.Fatal(err)
	}
	if d := h.describeJob(pool, stopped); d.Status != "Stopping" {
		t.Errorf("got %s", d.Status)
	}
	h.workOff()
	if d := h.describeJob(pool, stopped); d.Status != "Stopped" || *d.CompletionMessage != importStopped || *d.ImportedUsers != importPart-1 {
		t.Errorf("got %+v", d)
	}
	if d := h.describeJob(other, second); d.Status != "Succeeded" {
		t.Errorf("the job that waited: %+v", d)
	}
	want(t, h.startImport(pool, stopped), "PreconditionNotMetException", "") // it cannot go on
	again := begin(pool, good)
	hopeless := begin(pool, h.csv(pool, csvRow("user000")))
	missing := begin(pool, strings.Replace(good, "nickname", "nick_name", 1))
	twice := begin(pool, strings.Replace(good, "nickname", "name", 1))
	empty := begin(pool, "")
	for _, id := range []string{again, hopeless, missing, twice, empty} {
		if err := h.startImport(pool, id); err != nil {
			t.Fatal(err)
		}
	}
	h.workOff()
	for id, message := range map[string]string{hopeless: importHopeless, missing: importNoCSV, twice: importNoCSV, empty: importNoCSV} {
		if d := h.describeJob(pool, id); d.Status != "Failed" || *d.CompletionMessage != message {
			t.Errorf("got %s %s, want %s", d.Status, *d.CompletionMessage, message)
		}
	}
	if d := h.describeJob(pool, again); *d.ImportedUsers != 120-importPart+1 || *d.SkippedUsers != importPart-1 || d.Status != "Succeeded" {
		t.Errorf("the second run of the file: %d imported, %d skipped", *d.ImportedUsers, *d.SkippedUsers)
	}
	var ids []string
	in := &api.ListUserImportJobsRequest{UserPoolId: pool, MaxResults: 2}
	for {
		out := must[*api.ListUserImportJobsResponse](t)(h.c.ListUserImportJobs(ctx, in))
		for _, j := range out.UserImportJobs {
			ids = append(ids, *j.JobId)
		}
		if in.PaginationToken = out.PaginationToken; in.PaginationToken == nil {
			break
		}
	}
	if !slices.Equal(ids, []string{empty, twice, missing, hopeless, again, stopped}) {
		t.Errorf("got jobs %v, want the latest first", ids)
	}
	must[*api.DeleteUserPoolOutput](t)(h.c.DeleteUserPool(ctx, &api.DeleteUserPoolRequest{UserPoolId: pool}))
	err := h.db.View(ctx, func(tx *store.Tx) error {
		n, err := h.tables.imports.Count(tx, store.Query{Prefix: []string{pool}})
		if n > 0 {
			return errors.New("jobs outlive their pool")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// Run finds a job that was started while nobody worked.
func TestService_import_run(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	pool := h.newPoolID(importPool)
	done := make(chan struct{})
	h.appendLog = func(context.Context, string, string, string, []time.Time, []string) error { close(done); return nil }
	j := h.importJob(pool)
	if status := h.upload(*j.PreSignedUrl, strings.NewReader(h.csv(pool, csvRow("ann"))), nil); status != 200 {
		t.Fatalf("the upload: %d", status)
	}
	if err := h.startImport(pool, *j.JobId); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.runImports(ctx) }()
	<-done
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if d := h.describeJob(pool, *j.JobId); d.Status != "Succeeded" {
		t.Errorf("got %+v", d)
	}
}

// Who makes a job gives a role away for its log.
func TestService_import_role(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	needs := h.resources(&wire.Call{}, "", &api.CreateUserImportJobRequest{UserPoolId: "eu-central-1_abc", CloudWatchLogsRoleArn: logsRole})
	if len(needs) != 2 || needs[1].Action != "iam:PassRole" || needs[1].Resource != logsRole {
		t.Errorf("got %+v", needs)
	}
}
