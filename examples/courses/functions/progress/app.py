"""GET /progress: how far the caller has come towards the school's goal."""

import json
import os

import parameters


def handler(event, context):
    identity = event["requestContext"]["identity"]
    try:
        goal = int(parameters.get(os.environ["GOAL_PARAMETER"]))
    except parameters.Refused as e:
        return answer(500, {"message": "the goal cannot be read", "error": e.code})
    return answer(
        200,
        {"done": 1, "goal": goal, "identityId": identity.get("cognitoIdentityId"), "caller": identity.get("userArn")},
    )


def answer(status, body):
    return {"statusCode": status, "body": json.dumps(body)}
