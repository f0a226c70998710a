package moattest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A file of users goes to the address that CreateUserImportJob gave, becomes users in the
// background, and what became of each line stands in the log group.
func TestImport_OverTheWire(t *testing.T) {
	t.Parallel()
	m := New(t)
	var made struct{ UserPool struct{ ID, Name string } }
	pool := map[string]any{"PoolName": "the school", "AutoVerifiedAttributes": []string{"email"}}
	if status := m.cognito(t, "CreateUserPool", true, pool, &made); status != 200 {
		t.Fatalf("CreateUserPool: %d", status)
	}
	id := made.UserPool.ID
	var header struct{ CSVHeader []string }
	m.cognito(t, "GetCSVHeader", true, map[string]any{"UserPoolId": id}, &header)
	values := map[string]string{"cognito:username": "ann", "cognito:mfa_enabled": "FALSE", "email": "ann@example.com", "email_verified": "TRUE"}
	fields := make([]string, len(header.CSVHeader))
	for i, name := range header.CSVHeader {
		fields[i] = values[name]
	}
	file := strings.Join(header.CSVHeader, ",") + "\n" + strings.Join(fields, ",") + "\n"
	type job struct {
		UserImportJob struct {
			JobID, PreSignedURL, Status string
			ImportedUsers               int
		}
	}
	var j job
	create := map[string]any{"UserPoolId": id, "JobName": "move", "CloudWatchLogsRoleArn": "arn:aws:iam::000000000000:role/imports"}
	if status := m.cognito(t, "CreateUserImportJob", true, create, &j); status != 200 {
		t.Fatalf("CreateUserImportJob: %d", status)
	}
	put := func() int {
		t.Helper()
		at, err := url.Parse(j.UserImportJob.PreSignedURL)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, m.loopback(at.Path), strings.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		status, _ := do(t, req)
		return status
	}
	if first, second := put(), put(); first != 200 || second != 403 {
		t.Fatalf("the uploads: %d, %d", first, second)
	}
	one := map[string]any{"UserPoolId": id, "JobId": j.UserImportJob.JobID}
	if status := m.cognito(t, "StartUserImportJob", true, one, nil); status != 200 {
		t.Fatalf("StartUserImportJob: %d", status)
	}
	var seen job
	for range 10_000 {
		if m.cognito(t, "DescribeUserImportJob", true, one, &seen); seen.UserImportJob.Status != "Pending" && seen.UserImportJob.Status != "InProgress" {
			break
		}
	}
	if seen.UserImportJob.Status != "Succeeded" || seen.UserImportJob.ImportedUsers != 1 {
		t.Fatalf("got %+v", seen)
	}
	query := `{"logGroupName":"/aws/cognito/userpools/` + id + `/the-school","logStreamName":"` + j.UserImportJob.JobID + `/move","startFromHead":true}`
	for range 10_000 { // the log follows the commit
		_, answer := m.signed(t, rootKey(), "logs", http.MethodPost, "/", query, "X-Amz-Target", "Logs_20140328.GetLogEvents", "Content-Type", "application/x-amz-json-1.1")
		if strings.Contains(answer, "[SUCCEEDED] Line Number 2 - The import succeeded.") {
			return
		}
	}
	t.Error("the results were not logged")
}
