// Command bootstrap answers POST /courses: a service with the scope courses/write adds a course.
package main

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

type course struct {
	Title string `json:"title"`
}

func create(_ context.Context, in events.APIGatewayProxyRequest) (events.APIGatewayProxyResponse, error) {
	var c course
	if err := json.Unmarshal([]byte(in.Body), &c); err != nil || c.Title == "" {
		return answer(http.StatusBadRequest, map[string]any{"message": "a course needs a title"})
	}
	claims, _ := in.RequestContext.Authorizer["claims"].(map[string]any)
	return answer(http.StatusCreated, map[string]any{"title": c.Title, "client": claims["client_id"], "scope": claims["scope"]})
}

func answer(status int, v any) (events.APIGatewayProxyResponse, error) {
	body, err := json.Marshal(v)
	return events.APIGatewayProxyResponse{
		StatusCode: status, Body: string(body), Headers: map[string]string{"Content-Type": "application/json"},
	}, err
}

func main() { lambda.Start(create) }
