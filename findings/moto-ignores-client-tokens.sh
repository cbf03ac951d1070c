#!/usr/bin/env bash
# moto 5.1.22, the usual mock of Amazon's APIs in tests, ignores `ClientToken` of EC2's RunInstances.
#
# Expected, as EC2 documents it: a second RunInstances with the same token and parameters returns the instance of the first
# call; the same token with other parameters is the error IdempotentParameterMismatch.
# Actual: each call starts another instance, and other parameters are accepted.
#
# So a test against moto that starts a machine twice shows duplicates that EC2 would not make, and never the error
# that EC2 would return. Disco's tests add both to moto (tests/aws/cloud.py).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q install 'moto[ec2]==5.1.22' 'boto3==1.44.8' 2>/dev/null
cat >"$work/try.py" <<'PYTHON'
import boto3
from moto import mock_aws


@mock_aws
def main():
    ec2 = boto3.client(
        "ec2", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    image = ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]

    def start(kind):
        answer = ec2.run_instances(
            ImageId=image, InstanceType=kind, MinCount=1, MaxCount=1, ClientToken="one-machine"
        )
        return answer["Instances"][0]["InstanceId"]

    first, second, other = start("t3.micro"), start("t3.micro"), start("t3.large")
    print(f"{len({first, second})} instances by one token; another type by the same token: accepted as {other != first}")


main()
PYTHON
seen=$("$work/venv/bin/python" -W ignore "$work/try.py")
printf 'moto 5.1.22: %s\n' "$seen"
[ "$seen" = '2 instances by one token; another type by the same token: accepted as True' ]
